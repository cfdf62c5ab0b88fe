/**
 * Says who pays for requests to a bucket. This store bills no one, but S3's other promise holds: if the
 * requester pays, other accounts must confirm that they know.
 */
import type { AccountId } from "@hayloft/base/ids.js"
import { fail } from "@hayloft/base/failures.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import { checkChildren, childText } from "@hayloft/base/text/xml-reader.js"
import { wordOf } from "./setting.js"
import type { S3Setting } from "./setting.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

const PAYERS = ["BucketOwner", "Requester"] as const
export type RequestPayer = (typeof PAYERS)[number]

export const REQUEST_PAYMENT: S3Setting<RequestPayer> = {
  name: "requestPayment",
  root: "RequestPaymentConfiguration",
  limits: SMALL_DOCUMENT,
  initial: "BucketOwner",
  missing: undefined,
  read(root) {
    checkChildren(root, ["Payer"])
    return wordOf(childText(root, "Payer"), PAYERS)
  },
  write: (xml, payer) => void xml.text("Payer", payer),
}

const CHARGED: readonly HeaderField[] = [["x-amz-request-charged", "requester"]]

/**
 * Header of a successful answer about who pays. `caller` is undefined for an unsigned request.
 * Throws `accessDenied` for another account that does not confirm that it pays.
 */
export function requestCharged(
  payer: RequestPayer | undefined,
  owner: AccountId,
  caller: AccountId | undefined,
  headers: Headers,
): readonly HeaderField[] {
  if (payer !== "Requester" || caller === owner) return []
  if (caller !== undefined && headers.get("x-amz-request-payer")?.toLowerCase() === "requester") return CHARGED
  throw fail("accessDenied", { reason: "the requester pays, and must confirm it with x-amz-request-payer" })
}
