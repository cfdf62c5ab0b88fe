/**
 * `POST /v1/buckets/{bucket}/share`: a presigned link of S3, by which anybody may read or write one object for a while.
 *
 * Promises  Who has signed in with a key signs with that one, and only what its policies allow now. The link has the rights
 *           of the key when it is used. It never outlives temporary credentials. The audit log does not have it.
 */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseBucketName } from "@hayloft/base/ids.js"
import { type LinkSigner, type OperationInput, parseBody } from "@hayloft/features/operator/index.js"
import { operation, type AdminOperation, type AdminServices } from "../operation.js"
import { SHARE, SHARED } from "./share-schemas.js"

type Share = z.output<typeof SHARE>

const actionOf = ({ method, versionId }: Share): string =>
  method === "PUT" ? "s3:PutObject" : versionId === undefined ? "s3:GetObject" : "s3:GetObjectVersion"

/** Throws `invalidArgument`, `noSuchAccessKey`. */
async function signerOf(
  { links }: AdminServices,
  { accessKeyId }: Share,
  own: LinkSigner | undefined,
): Promise<LinkSigner> {
  if (own !== undefined) {
    if (accessKeyId === undefined || accessKeyId === own.key.id) return own
    throw fail("invalidArgument", {
      message: `accessKeyId: links are signed with the key you signed in with, ${own.key.id}`,
    })
  }
  if (accessKeyId === undefined) {
    const message = "accessKeyId: the operator has no key of its own; name the key that is to sign (GET /v1/keys)"
    throw fail("invalidArgument", { message })
  }
  const key = await links.keyOf(parseAccessKeyId(accessKeyId))
  if (key === undefined) throw fail("noSuchAccessKey", { key: accessKeyId })
  return { key, sessionToken: undefined }
}

async function share(services: AdminServices, { segment, body, signer: own, host }: OperationInput) {
  const request = parseBody(SHARE, body)
  const { key, method, versionId } = request
  if (method === "PUT" && versionId !== undefined)
    throw fail("invalidArgument", { message: "versionId: a version can be read by a link, not written" })
  const { name: bucket } = await services.buckets.open(parseBucketName(segment("bucket")))
  const signer = await signerOf(services, request, own)
  const endpoint = request.endpoint ?? services.links.endpoint(host)
  const nowMs = services.links.nowMs()
  const leftSeconds = Math.floor(((signer.key.expiresMs ?? Infinity) - nowMs) / 1_000)
  const expiresSeconds = Math.max(1, Math.min(request.expiresSeconds, leftSeconds))
  const url = services.links.sign(signer, { endpoint, method, bucket, key, versionId }, expiresSeconds)
  return { url, method, accessKeyId: signer.key.id, expiresMs: nowMs + expiresSeconds * 1_000 }
}

export const SHARE_OPERATIONS: readonly AdminOperation[] = [
  operation("shareObject", "POST /v1/buckets/{bucket}/share", {
    request: SHARE,
    summary: "Makes a presigned link, by which anybody may read or write one object until it expires.",
    scope: "all",
    status: 201,
    answer: SHARED,
    async permission({ buckets }, { segment, body }) {
      const request = parseBody(SHARE, body)
      const { name, owner } = await buckets.open(parseBucketName(segment("bucket")))
      return [{ action: actionOf(request), resource: `arn:aws:s3:::${name}/${request.key}`, owner }]
    },
    run: share,
  }),
]
