// Guardrail's plugin for OpenCode: asks the guard before each tool call, and throws unless it says yes.
// Installed by `guardrail hook install opencode`, which puts the command in; `--undo` takes the file away.
import { spawn } from "node:child_process"

const COMMAND = /* guardrail: command */ []
const DEADLINE_MS = /* guardrail: deadline */ 15000
const REFUSED = "This action is not permitted here and was not carried out. There was no decision: "

// One event to the guard; resolves only if it may go on. Nothing is logged: the text of a rejection goes to the model.
function ask(event) {
  return new Promise((resolve, reject) => {
    let said = ""
    let over = false
    const end = (error) => {
      if (over) return
      over = true
      clearTimeout(timer)
      if (error === undefined) resolve()
      else reject(new Error(error))
    }
    const child = spawn(COMMAND[0], COMMAND.slice(1), { stdio: ["pipe", "ignore", "pipe"], cwd: "/" })
    const timer = setTimeout(() => {
      child.kill("SIGKILL")
      end(REFUSED + "the hook did not end in time")
    }, DEADLINE_MS)
    child.on("error", (error) => end(REFUSED + error.message))
    child.stderr.on("data", (chunk) => (said += chunk))
    child.stdin.on("error", () => {})
    child.on("close", (code) => {
      if (code === 0) end()
      else end(said.trim() || REFUSED + `the hook ended with ${code}`)
    })
    child.stdin.end(JSON.stringify(event))
  })
}

// What has happened is told, and never stops anything: the call has run.
function tell(event) {
  return ask(event).catch(() => {})
}

export const Guardrail = async ({ directory }) => ({
  "tool.execute.before": async (input, output) => {
    await ask({
      event: "tool.execute.before",
      sessionID: input.sessionID,
      callID: input.callID,
      tool: input.tool,
      args: output.args ?? {},
      directory,
    })
  },
  "tool.execute.after": async (input, output) => {
    await tell({
      event: "tool.execute.after",
      sessionID: input.sessionID,
      callID: input.callID,
      tool: input.tool,
      args: input.args ?? {},
      directory,
      failed: Boolean(output?.metadata?.error),
    })
  },
  event: async ({ event }) => {
    if (["session.created", "session.idle", "session.deleted"].includes(event?.type)) {
      const sessionID = event.properties?.sessionID ?? event.properties?.info?.id
      if (sessionID) await tell({ event: event.type, sessionID })
    }
  },
})
