/** Upload ids: 4 bytes of the incarnation that assigned the id, 4 of its counter, 8 random; in hex. */
import { parseIncarnation, type Incarnation, type UploadId } from "@hayloft/base/ids.js"

const INCARNATION_DIGITS = 8

export const incarnationOf = (uploadId: UploadId): Incarnation =>
  parseIncarnation(parseInt(uploadId.slice(0, INCARNATION_DIGITS), 16))
