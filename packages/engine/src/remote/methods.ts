/** The calls about shards as methods: their numbers and headers are in `format/shard-calls.ts`. */
import { CALL_NUMBERS, SHARD_CALLS } from "../format/nodes/shard-calls.js"
import type { Codec, RpcMethod } from "../rpc/contract.js"

interface Headers<Request, Response> {
  readonly request: Codec<Request>
  readonly response: Codec<Response>
}

const method = <Request, Response>(
  name: keyof typeof CALL_NUMBERS,
  changes: boolean,
  { request, response }: Headers<Request, Response>,
): RpcMethod<Request, Response> => ({ number: CALL_NUMBERS[name], name, changes, request, response })

export const METHODS = {
  deviceStates: method("deviceStates", false, SHARD_CALLS.deviceStates),
  append: method("append", true, SHARD_CALLS.append),
  read: method("read", false, SHARD_CALLS.read),
  fetch: method("fetch", false, SHARD_CALLS.fetch),
  headerOf: method("headerOf", false, SHARD_CALLS.headerOf),
  has: method("has", false, SHARD_CALLS.has),
  remove: method("remove", true, SHARD_CALLS.remove),
  markSuspect: method("markSuspect", true, SHARD_CALLS.markSuspect),
  indexed: method("indexed", false, SHARD_CALLS.indexed),
} as const
