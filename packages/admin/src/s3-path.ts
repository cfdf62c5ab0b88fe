/** Says where S3 is on the admin port. */
import type { Exchange } from "@hayloft/protocols/http/index.js"

export const S3_PREFIX = "/v1/s3"

export const speaksS3 = ({ rawTarget }: Pick<Exchange, "rawTarget">): boolean =>
  rawTarget === S3_PREFIX || rawTarget.startsWith(`${S3_PREFIX}/`) || rawTarget.startsWith(`${S3_PREFIX}?`)
