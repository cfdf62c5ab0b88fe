/**
 * `/v1/endpoints/ACCOUNT/CONTAINER/OBJECT`: on which devices an object is, as Swift lists it for programs that work where their
 * data is. Pure.
 *
 * Source  `common/middleware/list_endpoints.py`, OpenStack Swift: a list of URLs, or with `v2` the list in a document.
 */
import { fail } from "@hayloft/base/failures.js"
import { byteStringOfText } from "@hayloft/base/ids.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import type { InsideDevice } from "./recon-core.js"
import { targetOfPath, type SwiftTarget } from "../target-core.js"

interface EndpointsRequest {
  readonly form: "list" | "document"
  readonly target: SwiftTarget & { readonly container: string; readonly object: string }
}

const PATH = /^\/(?:v1\/endpoints|endpoints(?:\/v([\d.]+))?)(?=\/)/

/** Returns undefined if the path asks for something else. Throws `invalidUri`, `invalidRequest`, `notImplemented`. */
export function endpointsIn(path: string): EndpointsRequest | undefined {
  const found = PATH.exec(path)
  if (found === null) return undefined
  const [prefix, version = "1"] = found
  if (!/^[12](?:\.0)?$/.test(version)) throw fail("invalidRequest", { message: `Unsupported version v${version}` })
  const target = targetOfPath(`/v1${path.slice(prefix.length)}`)
  const { container, object } = target ?? {}
  if (target === undefined || container === undefined || object === undefined)
    throw fail("notImplemented", {
      message: "endpoints of accounts and containers are not implemented: they are rows, which no device has alone",
    })
  return { form: version.startsWith("2") ? "document" : "list", target: { ...target, container, object } }
}

/** The places of an object's shards: a device for each. */
interface ObjectPlaces {
  readonly partition: number
  readonly deviceIds: readonly string[]
}

/** The devices that have shards, those with the most first, each with the partition of the first block that it has. */
function ranked(blocks: readonly ObjectPlaces[]): readonly (readonly [deviceId: string, partition: number])[] {
  const devices = new Map<string, { readonly partition: number; shards: number }>()
  for (const { partition, deviceIds } of blocks) {
    for (const id of deviceIds) {
      const known = devices.get(id) ?? { partition, shards: 0 }
      known.shards += 1
      devices.set(id, known)
    }
  }
  return [...devices].sort(([, a], [, b]) => b.shards - a.shards).map(([id, { partition }]) => [id, partition] as const)
}

/** `blocks`: undefined if the object is stored with its metadata. `host`: of devices whose store is on one machine. */
export function endpointsOf(
  { form, target }: EndpointsRequest,
  blocks: readonly ObjectPlaces[] | undefined,
  devices: readonly InsideDevice[],
  host: string,
): string {
  const known = new Map(devices.map(device => [device.id, device]))
  const replicas = devices.filter(({ metadataReplica }) => metadataReplica === "yes").map(({ id }) => [id, 0] as const)
  const { account, container, object } = target
  const path = [byteStringOfText(account), byteStringOfText(container), object].map(text => percentEncode(text, true))
  const endpoints = (blocks === undefined ? replicas : ranked(blocks)).map(
    ([id, partition]) => `http://${[known.get(id)?.node ?? host, id, partition, ...path].join("/")}`,
  )
  return JSON.stringify(form === "list" ? endpoints : { endpoints, headers: {} })
}
