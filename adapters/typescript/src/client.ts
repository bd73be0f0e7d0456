// Asks Guardrail's service before a tool runs.
// Types are generated from the service's OpenAPI document; what is written here is what no generator knows: that there
// is a deadline, and that whatever is not a whole answer to this very question is a denial.
import { randomBytes } from "node:crypto"
import { type ClientRequest, type IncomingMessage, type RequestOptions, request as overHttp } from "node:http"
import { request as overHttps } from "node:https"

import type { paths } from "./api.js"

type Posted<P extends keyof paths> = paths[P] extends {
  post: { requestBody: { content: { "application/json": infer B } } }
}
  ? B
  : never
type Answered<P extends keyof paths> = paths[P] extends {
  post: { responses: { 200: { content: { "application/json": infer B } } } }
}
  ? B
  : never

export type ToolCall = Posted<"/v1/decide">
export type Decision = Answered<"/v1/decide">
export type Execution = Answered<"/v1/execute">

/** Longest wait for a decision, in milliseconds. */
export const DECIDE_MS = 2_000
/** Longest wait for a tool that the service carries out, in milliseconds. */
export const EXECUTE_MS = 600_000
/** Largest answer that is read, in bytes. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024
/** What the agent may read of a call that did not run. */
export const NEUTRAL = "This action is not permitted here and was not carried out."

export interface Options {
  /** `http://HOST:PORT`, `https://HOST`, or `unix:/PATH`. */
  url: string
  /** The service's token, if it has one. */
  token?: string
  /** Longest wait for a decision, in milliseconds; `DECIDE_MS` by default. */
  decideMs?: number
  /** Longest wait for a tool that the service carries out, in milliseconds; `EXECUTE_MS` by default. */
  executeMs?: number
}

/** The call did not run; `message` is what the agent may read, `decision` is for operators. */
export class Blocked extends Error {
  constructor(readonly decision: Decision) {
    super(NEUTRAL)
    this.name = "Blocked"
  }
}

export class Guardrail {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /** The decision about a call. Never rejects: no answer, or one that is none, is a denial by `guardrail.fault`. */
  async decide(call: ToolCall): Promise<Decision> {
    return this.#decided(written(call))
  }

  /** Run a tool if its call is allowed. The tool is given the call that was judged, which nobody else holds. */
  async run<T>(call: ToolCall, tool: (judged: ToolCall) => T | Promise<T>): Promise<T> {
    const body = written(call)
    const decision = await this.#decided(body)
    // INVARIANT: one outcome runs, by its name; whatever else there may be one day does not.
    if (decision.outcome !== "allow" || body === undefined) throw new Blocked(decision)
    return await tool(JSON.parse(body) as ToolCall)
  }

  /** Have the service judge a call and carry it out (`execute.over_http`). Rejects if nobody knows what came of it. */
  async execute(call: ToolCall): Promise<Execution> {
    const body = JSON.stringify({ call })
    const found = await this.#post("/v1/execute", body, this.#options.executeMs ?? EXECUTE_MS)
    if (typeof found["ran"] !== "boolean" || !isTable(found["decision"])) throw new Error("the answer is no execution")
    return found as Execution
  }

  async #decided(body: string | undefined): Promise<Decision> {
    if (body === undefined) return denial("the call cannot be written as JSON")
    try {
      const found = await this.#post("/v1/decide", body, this.#options.decideMs ?? DECIDE_MS)
      if (!["allow", "escalate", "deny"].includes(found["outcome"] as string)) return denial("it answered no decision")
      if (found["id"] !== ((JSON.parse(body) as ToolCall).id ?? "")) return denial("it answered about another call")
      return found as Decision
    } catch (error) {
      return denial(error instanceof Error ? error.message : String(error))
    }
  }

  #post(path: string, body: string, deadlineMs: number): Promise<Record<string, unknown>> {
    const mark = randomBytes(8).toString("hex")
    return new Promise((resolve, reject) => {
      const request = this.#request(path, body, mark)
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs)
      request.on("error", reject)
      request.on("close", () => {
        clearTimeout(timer)
        reject(new Error("the connection was closed")) // of no effect once there is an answer
      })
      request.on("response", (response) => {
        whole(response, mark).then(resolve, (error: Error) => request.destroy(error))
      })
      request.end(body)
    })
  }

  #request(path: string, body: string, mark: string): ClientRequest {
    const headers: Record<string, string> = {
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
      "x-request-id": mark,
    }
    if (this.#options.token) headers["authorization"] = `Bearer ${this.#options.token}`
    // A connection for each question: one that is kept could hold the answer to another.
    const options: RequestOptions = { method: "POST", path, headers, agent: false }
    const url = new URL(this.#options.url)
    if (url.protocol === "unix:") return overHttp({ ...options, socketPath: decodeURIComponent(url.pathname) })
    const ask = url.protocol === "https:" ? overHttps : overHttp
    return ask({ ...options, host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port })
  }
}

/** A body that is all there, an object, and the answer to this request. */
async function whole(response: IncomingMessage, mark: string): Promise<Record<string, unknown>> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > MAX_ANSWER_BYTES) throw new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`)
    pieces.push(piece)
  }
  if (!response.complete) throw new Error("the answer was cut short")
  const found: unknown = JSON.parse(Buffer.concat(pieces).toString("utf8"))
  if (!isTable(found)) throw new Error("the answer is no object")
  if (response.statusCode !== 200) throw new Error(`it answered ${response.statusCode}: ${String(found["detail"] ?? "")}`)
  if (response.headers["x-request-id"] !== mark) throw new Error("it answered another request")
  return found
}

function written(call: ToolCall): string | undefined {
  try {
    return JSON.stringify(call)
  } catch {
    return undefined // a cycle, or a number that JSON has not
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function denial(why: string): Decision {
  const message = `the guardrail service gave no answer: ${why}`
  const reasons: Decision["reasons"] = [{ rule: "guardrail.fault", outcome: "deny", message }]
  return { id: "", decision_id: "", outcome: "deny", reasons, effects: [], assets: [] }
}
