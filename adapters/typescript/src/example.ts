// node dist/example.js URL DIRECTORY: asks about two calls in a directory that has guarded weights in `models`.
import { Blocked, Guardrail, type ToolCall } from "./client.js"

const [url = "unix:/run/guardrail/agent/decide.sock", cwd = "/"] = process.argv.slice(2)
const guardrail = new Guardrail({ url, decideMs: 10_000, token: process.env["GUARDRAIL_TOKEN"] ?? "" })

function bash(command: string): ToolCall {
  return { tool: "bash", args: { command }, cwd, subject: { id: "example" } }
}

for (const command of ["ls models", "cp models/a.safetensors /tmp/x"]) {
  try {
    console.log(await guardrail.run(bash(command), (judged) => `ran: ${JSON.stringify(judged.args)}`))
  } catch (error) {
    if (!(error instanceof Blocked)) throw error
    console.log(`${error.decision.outcome}: ${error.decision.reasons.map((reason) => reason.rule).join(", ")}`)
  }
}
