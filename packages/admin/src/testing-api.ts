/** The admin API over a store in memory, as its tests use it. */
import { fail } from "@hayloft/base/failures.js"
import { AdminApi, type AdminStore } from "./api.js"
import type { AdminReply } from "./replies.js"
import { FakeStore, ROOT, TOKEN } from "./testing-store.js"

export interface Sent {
  readonly token?: string | undefined
  readonly body?: unknown
  readonly text?: string
  /** In the place of a body of JSON. */
  readonly bytes?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/** The head of requests, for tests of other things that do not care about it. */
export const HEAD = { isEncrypted: false, from: { requestId: "", address: "127.0.0.1" } } as const

export function world(onLoopback = true, replaced: Partial<AdminStore> = {}) {
  const store = new FakeStore()
  const api = new AdminApi(
    { ...store.parts, ...replaced },
    {
      version: "1.2.3",
      clock: store.clock,
      hosts: [],
      onLoopback,
      rootAccount: ROOT,
      newBucketSettings: new Map(),
      metricsText: () => "# HELP x y\n",
    },
  )
  const send = async (method: string, rawTarget: string, sent: Sent = {}): Promise<AdminReply> => {
    const token = "token" in sent ? sent.token : TOKEN
    const headers = new Map(Object.entries(sent.headers ?? {}))
    if (token !== undefined && !headers.has("authorization")) headers.set("authorization", `Bearer ${token}`)
    const bytes = sent.bytes ?? new TextEncoder().encode(sent.text ?? JSON.stringify(sent.body ?? {}))
    return api.handle({
      ...HEAD,
      method,
      rawTarget,
      header: name => headers.get(name),
      body: async bytesMax => {
        if (bytes.length > bytesMax) throw fail("entityTooLarge")
        return bytes
      },
    })
  }
  const json = async (method: string, rawTarget: string, sent: Sent = {}) => {
    const answer = await send(method, rawTarget, sent)
    const text = new TextDecoder().decode(answer.body)
    const value: unknown = text === "" ? undefined : JSON.parse(text)
    return { status: answer.status, value }
  }
  return { store, api, send, json }
}
