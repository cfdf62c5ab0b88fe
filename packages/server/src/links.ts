/** Presigned links of S3, as the command line makes them, for callers of the admin API. */
import type { AdminApi } from "@hayloft/admin/index.js"
import { presignedUrl } from "@hayloft/client/index.js"
import type { ListenAddress } from "@hayloft/node/config/index.js"

export type Links = ConstructorParameters<typeof AdminApi>[0]["links"]
type Signed = Parameters<Links["sign"]>

/** The URL. */
export function signedLink(
  { key, sessionToken }: Signed[0],
  { endpoint, versionId, ...request }: Signed[1],
  region: string,
  expiresSeconds: number,
  nowMs: number,
): string {
  const credentials = { accessKeyId: key.id, secretAccessKey: key.secret, region, endpoint }
  const access = sessionToken === undefined ? credentials : { ...credentials, sessionToken }
  const query = versionId === undefined ? [] : [["versionId", versionId] as const]
  return presignedUrl(access, { ...request, query }, expiresSeconds, nowMs)
}

/** Returns where the S3 port is for a client. One on all addresses is reached by the name by which the admin port was reached. */
export function endpointFor(endpoint: string, { host }: ListenAddress, adminHost: string | undefined): string {
  const isEverywhere = host === "0.0.0.0" || host === "::"
  if (!isEverywhere || adminHost === undefined) return endpoint
  const { protocol, port } = new URL(endpoint)
  return `${protocol}//${adminHost.replace(/:\d*$/, "")}:${port}`
}
