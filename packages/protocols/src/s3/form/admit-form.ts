/**
 * Admits a form: reads its fields, authenticates its signer and checks its policy, all before any byte of
 * its file is read.
 *
 * Promises  The caller is authenticated like that of any other request; a form without a signature is as
 *           anonymous as a request without one. If there is a policy, the file ends cleanly only
 *           within the size that the policy allows.
 */
import { carriesSignature, type ReceivedRequest } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Gatekeeper } from "../authenticate.js"
import type { S3Caller } from "../caller.js"
import type { WireBody } from "../body.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { boundaryOf } from "../wire/form-data.js"
import type { S3Target } from "../wire/target.js"
import { completeFields, formRequestOf } from "./fields-core.js"
import type { FormRequest } from "./fields-core.js"
import { checkFormPolicy, parseFormPolicy, sizeRangeOf } from "./policy-core.js"
import type { SizeRange } from "./policy-core.js"
import { readForm } from "./read-form.js"

/** A form up to its file. */
export interface AdmittedForm extends FormRequest {
  readonly file: WireBody
}

interface FormScene {
  readonly received: ReceivedRequest
  readonly target: S3Target
  readonly headers: Headers
  readonly address: string
  readonly nowMs: number
  /** Called as soon as the caller is known. */
  readonly noteCaller: (caller: S3Caller) => void
}

/**
 * Throws `preconditionFailed` if the body is not a form, `accessDenied` if its policy forbids it, and the failures of
 * reading and authentication.
 */
export async function admitForm(
  gate: Gatekeeper,
  wire: WireBody,
  { received, target, headers, address, nowMs, noteCaller }: FormScene,
): Promise<{ readonly caller: S3Caller; readonly form: AdmittedForm }> {
  const { bucket = "" } = target
  const boundary = boundaryOf(headers.get("content-type") ?? "")
  if (boundary === undefined || carriesSignature(received)) {
    // The caller is identified first, the same as for any other request: a refused caller learns nothing more.
    const caller = await gate.caller(received, target, { address, nowMs })
    noteCaller(caller)
    await gate.openBucket(bucket, caller, headers)
    throw boundary === undefined
      ? fail("preconditionFailed", { condition: "Bucket POST must be of the enclosure-type multipart/form-data" })
      : fail("invalidRequest", { message: "A form is signed by its fields, not by its headers or query." })
  }
  const arriving = await readForm(wire, boundary)
  const fields = completeFields(arriving.fields, arriving.fileName, bucket)
  const caller = await gate.callerOfForm(fields, received, { address, nowMs })
  noteCaller(caller)
  await gate.openBucket(bucket, caller, headers)
  const range = sizeIn(fields, caller, nowMs)
  const open = (pieces: PieceOwner) => within(range, arriving.file(pieces))
  const file: WireBody = { lengthBytes: undefined, chunked: true, open, gather: () => undefined }
  return { caller, form: { ...formRequestOf(fields, headers), file } }
}

/** An unsigned form needs no policy. */
function sizeIn(fields: ReadonlyMap<string, string>, { account }: S3Caller, nowMs: number): SizeRange {
  const text = fields.get("policy")
  if (text === undefined && account === undefined) return { min: 0, max: Infinity }
  const policy = parseFormPolicy(text ?? "")
  checkFormPolicy(policy, fields, nowMs)
  return sizeRangeOf(policy)
}

async function* within({ min, max }: SizeRange, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0
  for await (const bytes of source) {
    sizeBytes += bytes.length
    if (sizeBytes > max) throw fail("entityTooLarge", { sizeBytes, maxSizeAllowedBytes: max })
    yield bytes
  }
  if (sizeBytes < min) throw fail("entityTooSmall", { sizeBytes, minSizeAllowedBytes: min })
}
