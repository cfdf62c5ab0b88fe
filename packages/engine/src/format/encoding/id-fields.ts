/** Fields of declared records (`fields.ts`) whose values are ids, names, keys and other words of a store. */
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import {
  bytesOfByteString,
  parseAccessKeyId,
  parseAccountId,
  parseBucketId,
  parseDeviceId,
  parseIncarnation,
  parseKmsKeyId,
  parseMultipartId,
  parseNodeName,
  parsePosition,
  parseVersionId,
  rowKeyOf,
  type ObjectKey,
} from "@hayloft/base/ids.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"
import { BYTES, mapped, NUMBER, oneOf, parsed, TEXT } from "./fields.js"

export const ACCESS_KEY_ID = parsed(TEXT, parseAccessKeyId)
export const ACCOUNT_ID = parsed(TEXT, parseAccountId)
export const BUCKET_ID = parsed(NUMBER, parseBucketId)
export const DEVICE_ID = parsed(TEXT, parseDeviceId)
export const INCARNATION = parsed(NUMBER, parseIncarnation)
export const KMS_KEY_ID = parsed(TEXT, parseKmsKeyId)
export const MULTIPART_ID = parsed(TEXT, parseMultipartId)
export const NODE_NAME = parsed(TEXT, parseNodeName)
export const POSITION = parsed(NUMBER, parsePosition)
export const VERSION_ID = parsed(TEXT, parseVersionId)
export const POLICY = mapped(TEXT, text => parsePolicy(text), textOfPolicy)
export const STORAGE_CLASS = oneOf(STORAGE_CLASSES)

/** A text of hex digits, as bytes. */
export const HEX = mapped(BYTES, hexOf, hex => must(bytesOfHex(hex), "the text is hex"))
/** A byte string, as bytes. */
export const BYTE_STRING = mapped(BYTES, bytes => Buffer.from(bytes).toString("latin1"), bytesOfByteString)
export const ROW_KEY = parsed(BYTE_STRING, rowKeyOf)

/** Keys were checked before they were stored. */
const parseStoredKey = (key: string): ObjectKey => key as ObjectKey
export const OBJECT_KEY = parsed(BYTE_STRING, parseStoredKey)
