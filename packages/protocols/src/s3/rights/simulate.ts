/**
 * Simulation: the decision that a request to S3 would get, by the same evaluation as requests, without a request.
 *
 * Promises  All that decides is what decides a request: bucket policy, access control lists, public access block, the tags
 *           of an existing object. Values of condition keys are those that are given; no others exist.
 */
import type { Keyring } from "@hayloft/access/contract.js"
import type { RequestContext, SimulatedCaller } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketName } from "@hayloft/base/ids.js"
import type { Bucket, ObjectServices } from "@hayloft/objects/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { AccessControl, type Grantees } from "../acl/access-control.js"
import { readBucketPolicy } from "../settings/bucket-policy.js"
import { BucketSettings } from "../settings/bucket-settings.js"
import { RequestQuery } from "../wire/query.js"
import { isActionName, scopeOf, type ActionName } from "./actions.js"
import {
  Permissions,
  type Decided,
  type PermissionsContext,
  type PermissionsRequest,
  type ActionTarget,
} from "./permissions.js"

interface SimulatedRequest {
  readonly caller: SimulatedCaller
  /** `s3:GetObject`. */
  readonly action: string
  /** `arn:aws:s3:::bucket/key`, `arn:aws:s3:::bucket`, `*`. */
  readonly resource: string
  readonly values: RequestContext
  /** In place of the bucket's own; undefined: its own. */
  readonly bucketPolicy: string | undefined
}

const ARN = /^arn:aws:s3:::([^/]+)(?:\/(.*))?$/s

export class S3Simulator {
  private readonly settings: BucketSettings
  private readonly accessControl: AccessControl

  constructor(
    private readonly services: Pick<ObjectServices, "objects" | "multipart" | "buckets">,
    private readonly accounts: Pick<Keyring, "getAccount" | "pinPrincipals"> & Grantees,
    private readonly clock: Pick<Clock, "wallMs">,
  ) {
    this.settings = new BucketSettings(services.buckets)
    this.accessControl = new AccessControl(this.settings, accounts)
  }

  /** Throws `invalidArgument`, `noSuchBucket`, `malformedPolicy`. */
  async simulate({ caller, action, resource, values, bucketPolicy }: SimulatedRequest): Promise<Decided> {
    const name = action.slice("s3:".length)
    if (!isActionName(name)) throw fail("invalidArgument", { message: `S3 has no action ${action}` })
    const stored = await this.placeOf(name, resource)
    const context = { services: this.services, accounts: this.accounts, accessControl: this.accessControl }
    const { place, settings } = await this.withPolicy(stored, bucketPolicy)
    const permissions = new Permissions({ ...context, bucketSettings: settings }, this.requestOf(name, caller, values))
    return permissions.explain(name, place)
  }

  private async placeOf(action: ActionName, resource: string): Promise<ActionTarget> {
    const scope = scopeOf(action)
    if (scope === "service") return {}
    const [, name, key] = ARN.exec(resource) ?? []
    if (name === undefined || (scope === "object" && (key ?? "") === "")) {
      const example = scope === "object" ? "arn:aws:s3:::BUCKET/KEY" : "arn:aws:s3:::BUCKET"
      throw fail("invalidArgument", { message: `s3:${action} acts on ${example}, not on ${resource.slice(0, 300)}` })
    }
    const bucketName = parseBucketName(name)
    if (action === "CreateBucket") return { newBucket: bucketName }
    const bucket = await this.services.buckets.open(bucketName)
    return key === undefined || scope === "bucket" ? { bucket } : { bucket, key: objectKeyOfText(key) }
  }

  private async withPolicy(place: ActionTarget, text: string | undefined) {
    const { bucket } = place
    const settings: PermissionsContext["bucketSettings"] = this.settings
    if (text === undefined || bucket === undefined) return { place, settings }
    const { policy } = readBucketPolicy(text, bucket.name).named
    const pinned = readBucketPolicy(await this.accounts.pinPrincipals(policy, text), bucket.name)
    const withPolicy: Bucket = { ...bucket, settings: [...bucket.settings, "policy"] }
    const { publicAccessBlock } = this.settings
    return { place: { ...place, bucket: withPolicy }, settings: { publicAccessBlock, policy: { of: () => pinned } } }
  }

  private requestOf(name: string, caller: SimulatedRequest["caller"], values: RequestContext): PermissionsRequest {
    const nowMs = this.clock.wallMs()
    const query = new RequestQuery([])
    const head = {
      operation: name,
      isOfBucket: false,
      query,
      headers: new Map(),
      nowMs,
      remoteAddress: "",
      region: "",
      userAgent: undefined,
      referer: undefined,
      formTags: undefined,
      form: undefined,
      signatureVersion: undefined,
      signedMs: undefined,
      tlsVersion: undefined,
    }
    return {
      signer: caller,
      name,
      query,
      nowMs,
      head,
      readBody: async () => ({}),
      // Only the tags of an existing object are known, of all that a request would have.
      assumed: read => ({
        valuesOf: key => values.valuesOf(key) ?? (key.name === "s3:existingobjecttag" ? read.valuesOf(key) : undefined),
      }),
    }
  }
}
