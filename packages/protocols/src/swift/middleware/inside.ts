/**
 * Shows the inside of the store: `/recon/WHAT`, and the devices that have an object.
 *
 * Promises  Only resellers learn of it: the holder of the root key, and whom the root account's policies or the roles of Keystone
 *           make one. Objects are named as their account names them, whatever their own lists say.
 */
import type { Soon } from "@hayloft/base/soon.js"
import { fail } from "@hayloft/base/failures.js"
import { bytesOfByteString, objectKeyOfBytes, type ObjectKey } from "@hayloft/base/ids.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { S3Answer } from "../../s3/index.js"
import { textAnswer } from "../answers.js"
import { endpointsIn, endpointsOf } from "./endpoints-core.js"
import { containerAt, type SwiftContext, type SwiftRequest } from "../requests.js"
import { reconOf, type InsideDevice } from "./recon-core.js"

/** The facts that the store reports about itself. */
export interface StoreInside {
  devices(): Soon<readonly InsideDevice[]>
  /** The load and the memory of this machine. */
  readonly machine: { readonly load: () => string | undefined; readonly memory: () => string | undefined }
  readonly shardPlaces: {
    /** Throws `noSuchKey`, `isDeleteMarker`. */
    locate(place: {
      readonly bucket: Bucket
      readonly key: ObjectKey
      readonly versionId: undefined
      readonly offsetBytes: number
      readonly max: number
    }): Promise<Located>
  }
}

interface Located {
  /** The object is stored with its metadata. */
  readonly isInline: boolean
  readonly blocks: readonly {
    readonly partition: number
    readonly slots: readonly {
      readonly copies: readonly { readonly deviceId: string; readonly isDamaged: boolean }[]
    }[]
  }[]
}

/** The limit is for an object, in one answer: a larger one has blocks on the same devices. */
const BLOCKS_MAX = 100
const JSON_TYPE = "application/json"
const RECON = "/recon/"

type InsideAnswer = (request: SwiftRequest) => Promise<S3Answer>

export class InsideRequests {
  constructor(
    private readonly context: SwiftContext,
    private readonly inside: StoreInside,
    private readonly version: string,
  ) {}

  /**
   * Returns what answers a path; undefined: it is no question of this kind. Throws `invalidUri`, `invalidRequest`,
   * `notImplemented`.
   */
  answerTo(path: string): { readonly operation: string; readonly answer: InsideAnswer } | undefined {
    if (path.startsWith(RECON)) {
      const what = path.slice(RECON.length)
      return { operation: "Swift recon", answer: request => this.recon(request, what) }
    }
    const endpoints = endpointsIn(path)
    return endpoints && { operation: "Swift endpoints", answer: request => this.endpoints(request, endpoints) }
  }

  private async recon(request: SwiftRequest, what: string): Promise<S3Answer> {
    requireReseller(request)
    const { machine } = this.inside
    return textAnswer(
      200,
      JSON_TYPE,
      reconOf(what, {
        version: this.version,
        nowMs: this.context.clock.wallMs(),
        devices: await this.inside.devices(),
        load: machine.load(),
        memory: machine.memory(),
      }),
    )
  }

  private async endpoints(
    request: SwiftRequest,
    asked: NonNullable<ReturnType<typeof endpointsIn>>,
  ): Promise<S3Answer> {
    requireReseller(request)
    const { account, container, object } = asked.target
    const bucket = await containerAt(this.context, account, container)
    const key = objectKeyOfBytes(bytesOfByteString(object))
    const place = { bucket, key, versionId: undefined, offsetBytes: 0, max: BLOCKS_MAX }
    const { blocks, isInline } = await this.inside.shardPlaces.locate(place)
    const places = blocks.map(({ partition, slots }) => ({
      partition,
      deviceIds: slots.flatMap(({ copies }) => copies.filter(copy => !copy.isDamaged).map(copy => copy.deviceId)),
    }))
    const host = request.exchange.header("host") ?? ""
    const devices = await this.inside.devices()
    return textAnswer(200, JSON_TYPE, endpointsOf(asked, isInline ? undefined : places, devices, host))
  }
}

/** Throws `accessDenied`. */
function requireReseller({ reseller }: SwiftRequest): void {
  if (reseller === undefined) throw fail("accessDenied", { message: "only resellers see the inside of the store" })
}
