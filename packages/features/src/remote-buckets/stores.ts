/**
 * Remote stores: the operator's file that names them, and what is known of each while the process runs.
 *
 * The file is JSON: for each name an endpoint, a region, a key, and the accounts whose buckets may use it. Secrets stay in the file:
 * nothing shows them, and no bucket's setting has them. So a caller who may change the setting of a bucket cannot make the store send
 * requests to an address that the operator has not chosen.
 */
import { z } from "zod"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { S3Client, type Trust } from "@hayloft/client/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Origin, RemoteSetting } from "./contract.js"
import { HOPS_HEADER } from "./hops.js"
import { REMOTE_LIMITS } from "./limits.js"
import { S3Origin, StoreHealth } from "./s3-origin.js"
import type { HeaderFields } from "@hayloft/base/http/request-headers.js"

/** Whatever it has is shown to those who may see remote stores. */
function isPlain(endpoint: string): boolean {
  const { username, password, search, hash, pathname } = new URL(endpoint)
  return `${username}${password}${search}${hash}` === "" && pathname === "/"
}

/** Text that can be in a header. */
const text = z
  .string()
  .max(2_048)
  .regex(/^[\x21-\x7e]+$/, "printable characters without spaces")
const STORE = z.strictObject({
  endpoint: z.url({ protocol: /^https?$/ }).refine(isPlain, "an address without a user, a password, a query or a path"),
  region: text.default(REGION_DEFAULT),
  accessKeyId: text,
  secretAccessKey: text,
  sessionToken: text.optional(),
  /** Names or ids; absent: only the root account. */
  accounts: z.array(z.string().min(1).max(255)).max(1_000).optional(),
  /** Certificates in PEM that are trusted too. */
  certificates: z.string().max(65_536).optional(),
})
const FILE = z.record(z.string().regex(/^[a-z0-9-]{1,64}$/), STORE)

export type RemoteStoreConfig = z.output<typeof STORE>

/** Throws `invalidConfig`; the message has no secret. */
export function parseRemoteStores(bytes: Uint8Array, path: string): ReadonlyMap<string, RemoteStoreConfig> {
  const problem = (message: string): Failure =>
    fail("invalidConfig", { message: `the file of remote stores ${path}: ${message}` })
  if (bytes.length > REMOTE_LIMITS.fileBytesMax) throw problem(`more than ${REMOTE_LIMITS.fileBytesMax} bytes`)
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(bytes).toString("utf8"))
  } catch {
    // The parser's message would repeat a part of the file.
    throw problem("it is not JSON")
  }
  const parsed = FILE.safeParse(json)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw problem(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? "it is not valid"}`)
  }
  const stores = new Map(Object.entries(parsed.data))
  if (stores.size > REMOTE_LIMITS.storesMax) throw problem(`more than ${REMOTE_LIMITS.storesMax} stores`)
  return stores
}

/** A remote store that this process sends requests to. */
export class RemoteStore {
  readonly health: StoreHealth
  private readonly client: S3Client

  constructor(
    readonly name: string,
    readonly config: RemoteStoreConfig,
    clock: Clock,
    signal: AbortSignal,
  ) {
    const { accounts: _, certificates, sessionToken, ...access } = config
    const trust: Trust | undefined = certificates === undefined ? undefined : { pem: certificates, isOwnStore: false }
    const { attemptsMax, connectionsMax, silenceMs, connectMs, headMs, bytesPerSecondMin, rateGraceMs } = REMOTE_LIMITS
    const rate = { bytesPerSecondMin, graceMs: rateGraceMs }
    const options = { attemptsMax, connectionsMax, silenceMs, connectMs, headMs, rate }
    this.health = new StoreHealth(clock)
    this.client = new S3Client(
      { ...access, ...(trust && { trust }), ...(sessionToken && { sessionToken }) },
      clock,
      signal,
      options,
    )
  }

  /** `headers` are sent with each write and removal, and `hops`, as `hopsThrough` makes them, with every request. */
  bucket(
    { bucket, prefix }: Pick<RemoteSetting, "bucket" | "prefix">,
    { headers, hops }: { readonly headers?: HeaderFields; readonly hops?: string },
  ): Origin {
    const client = hops === undefined ? this.client : this.client.withHeaders([[HOPS_HEADER, hops]])
    return new S3Origin(client, { bucket, prefix, headers }, this.health)
  }

  close(): void {
    this.client.close()
  }
}
