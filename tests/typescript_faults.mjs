// node typescript_faults.mjs CLIENT: what the client makes of servers that are no guard, each as one line of JSON.
import { createServer } from "node:http"

const { Guardrail, Blocked } = await import(process.argv[2])
const CALL = { tool: "bash", args: { command: "ls" }, id: "c1" }
const ALLOW = { id: "c1", decision_id: "d", outcome: "allow", reasons: [], effects: [] }
const SERVERS = {
  "allows, whole and to this question": (mark) => [200, { "x-request-id": mark }, ALLOW],
  "answers another request": () => [200, { "x-request-id": "0" }, ALLOW],
  "answers about another call": (mark) => [200, { "x-request-id": mark }, { ...ALLOW, id: "c2" }],
  "says an outcome that there is not": (mark) => [200, { "x-request-id": mark }, { ...ALLOW, outcome: "yes" }],
  "fails, and says allow": (mark) => [500, { "x-request-id": mark }, ALLOW],
  "answers a list": (mark) => [200, { "x-request-id": mark }, [ALLOW]],
  "stops in the middle": (mark) => [200, { "x-request-id": mark, "content-length": "9999" }, ALLOW],
  "says nothing": () => undefined,
}

async function asked(url) {
  const client = new Guardrail({ url, decideMs: 300 })
  const decision = await client.decide(CALL)
  let ran = false
  try {
    await client.run(CALL, () => (ran = true))
  } catch (error) {
    if (!(error instanceof Blocked)) throw error
  }
  return [decision.outcome, decision.reasons.map((reason) => reason.rule), ran]
}

for (const [name, answer] of Object.entries(SERVERS)) {
  const server = createServer((request, response) => {
    const said = answer(request.headers["x-request-id"])
    if (said === undefined) return
    response.writeHead(said[0], said[1])
    response.write(JSON.stringify(said[2]))
    if ("content-length" in said[1]) setTimeout(() => response.destroy(), 10)
    else response.end()
  })
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready))
  console.log(JSON.stringify([name, ...(await asked(`http://127.0.0.1:${server.address().port}`))]))
  server.closeAllConnections()
  server.close()
}
console.log(JSON.stringify(["is not there", ...(await asked("unix:/nonexistent/guard.sock"))]))
console.log(JSON.stringify(["is no address", ...(await asked("nonsense"))]))
