/**
 * Encryption: the keys of objects and uploads as the services need them.
 *
 * Promises  A key is returned only for a record that was bound to its bucket, key, version, size, ETag and number of
 *           parts. The key of a client is remembered nowhere.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { BucketId, MultipartId, ObjectKey } from "@hayloft/base/ids.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { BoundSealing, Sealing } from "@hayloft/engine/format/needles/sealing.js"
import type { VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { BoundFacts, CreatedKey, ObjectKeys, Protection } from "@hayloft/access/keys/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { NewVersion } from "../commands/row-editor-core.js"
import { factsOf, hasRandomEtag } from "./encryption-core.js"
import { AT_REST, keyOfBytes } from "./key-of-bytes.js"

const MD5_BYTES = 16
/** Amazon uses these two messages for parts whose encryption parameters are missing or wrong. */
const NO_KEY =
  "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters."
const OTHER_KEY = "The provided encryption parameters did not match the ones used originally."

type Unbound = Omit<NewVersion, "isMarker" | "sealing">

export class Encryption {
  private readonly random: Random
  /** By the value of a version's row: keys that depend on nothing but the bucket's secret. All of one generation. */
  private remembered = new WeakMap<Uint8Array, Uint8Array>()
  private generation = 0

  constructor(
    random: Random,
    private readonly metadata: Pick<Metadata, "ask" | "generation" | "run">,
    private readonly keys: ObjectKeys,
    private readonly encryptsAtRest: boolean,
  ) {
    this.random = random.fork("encryption")
  }

  /** How bytes are protected for which a request asks this. */
  protectionOf(asked: Protection | undefined): Protection | undefined {
    return asked ?? (this.encryptsAtRest ? AT_REST : undefined)
  }

  /** Makes a key for new bytes; undefined: they are not sealed. */
  creating(bucketId: BucketId, asked: Protection | undefined): (() => Soon<CreatedKey>) | undefined {
    const protection = this.protectionOf(asked)
    return protection && (() => this.keys.create(bucketId, protection))
  }

  /**
   * The sealing of an upload's next part. An upload from before the store encrypted gets one now: no plain byte may come
   * once the job that encrypts existing objects is over. Throws `noSuchUpload`, `conflict` while it is being completed.
   */
  async sealingOfPart(
    bucketId: BucketId,
    key: ObjectKey,
    upload: { readonly multipartId: MultipartId; readonly sealing: Sealing | undefined },
  ): Promise<Sealing | undefined> {
    const { multipartId, sealing } = upload
    if (sealing !== undefined || !this.encryptsAtRest) return sealing
    const found = await keyOfBytes({ metadata: this.metadata, keys: this.keys }, { bucketId, key, of: { multipartId } })
    if (found === undefined) throw fail("noSuchUpload")
    return found.sealing
  }

  /** The key of an upload's parts; undefined: they are not sealed. Throws `invalidRequest`, for another key too. */
  async ofUpload(
    bucketId: BucketId,
    sealing: Sealing | undefined,
    clientKey: Uint8Array | undefined,
  ): Promise<CreatedKey | undefined> {
    if ((sealing?.key.mode === "client") !== (clientKey !== undefined))
      throw fail("invalidRequest", { message: NO_KEY })
    if (sealing === undefined) return undefined
    try {
      const key = await this.keys.open(bucketId, sealing, clientKey)
      return { sealing, key, secret: await this.keys.rowsOf(bucketId, sealing) }
    } catch (error) {
      if (clientKey === undefined || !isFailure(error, "accessDenied")) throw error
      throw fail("invalidRequest", { message: OTHER_KEY }, error)
    }
  }

  /** Checks the key of a client. Throws `invalidRequest`, `accessDenied`. */
  checkClientKey(bucketId: BucketId, sealing: Sealing | undefined, clientKey: Uint8Array | undefined): Soon<void> {
    requireFitting(sealing, clientKey)
    if (sealing?.key.mode !== "client") return undefined
    return after(this.keys.open(bucketId, sealing, clientKey), () => undefined)
  }

  /** The MD5 of an ETag: random where it is no digest. */
  etagOf(md5: Uint8Array, sealing: Sealing | undefined): Uint8Array {
    return sealing !== undefined && hasRandomEtag(sealing) ? this.random.bytes(MD5_BYTES) : md5
  }

  /** The version with its sealing, bound to it. */
  bound(
    bucketId: BucketId,
    key: ObjectKey,
    sealing: Sealing,
    version: Unbound,
  ): Soon<Unbound & Pick<NewVersion, "sealing">> {
    const { key: sealingKey, secret, salt } = sealing
    const bare: Sealing = { key: sealingKey, secret, salt }
    return after(this.keys.bind(bare, factsOf(bucketId, key, version)), (bound: BoundSealing) => ({
      ...version,
      sealing: bound,
    }))
  }

  /**
   * The key of a version's bytes; undefined: they are not sealed. `value`: of its row. Throws `corruptSeal` for a record
   * that belongs elsewhere, and like `checkClientKey`.
   */
  keyOf(
    bucketId: BucketId,
    key: ObjectKey,
    { head, sealing }: VersionRecord,
    value: Uint8Array,
    clientKey: Uint8Array | undefined,
  ): Soon<Uint8Array | undefined> {
    requireFitting(sealing, clientKey)
    if (sealing === undefined) return undefined
    // Another process may have destroyed the secret.
    if (this.generation !== this.metadata.generation) this.remembered = new WeakMap()
    this.generation = this.metadata.generation
    // A key that is opened in this generation is not remembered in a later one.
    const { remembered } = this
    const known = remembered.get(value)
    if (known !== undefined) return known
    return after(this.openKey(factsOf(bucketId, key, head), sealing, clientKey), opened => {
      const { mode } = sealing.key
      if (mode === "atRest" || mode === "s3") remembered.set(value, opened)
      return opened
    })
  }

  private openKey(facts: BoundFacts, sealing: BoundSealing, clientKey: Uint8Array | undefined): Soon<Uint8Array> {
    return after(this.keys.checkBind(sealing, facts), () => this.keys.open(facts.bucketId, sealing, clientKey))
  }
}

/** Checks that there is a client's key exactly where one is needed. Throws `invalidRequest`. */
function requireFitting(sealing: Sealing | undefined, clientKey: Uint8Array | undefined): void {
  const needsKey = sealing?.key.mode === "client"
  if (needsKey === (clientKey !== undefined)) return
  throw fail("invalidRequest", {
    message: needsKey
      ? "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
      : "The encryption parameters are not applicable to this object.",
  })
}
