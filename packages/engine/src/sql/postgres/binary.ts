/**
 * Parameters and results of statements in PostgreSQL's binary format: arrays of one dimension without nulls, and
 * integers (postgresql.org/docs, "Frontend/Backend Protocol", and `array_send` of its source).
 */
const OID = { boolean: 16, bytea: 17, bigint: 20, smallint: 21, integer: 23 } as const
const HEAD_BYTES = 20
const NULL_LENGTH = -1

/** The head of an array with this many elements. Arrays begin at index 1, as SQL writes them. */
function arrayOf(oid: number, count: number, bodyBytes: number, hasNulls = false): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + bodyBytes)
  bytes.writeInt32BE(1, 0)
  bytes.writeInt32BE(hasNulls ? 1 : 0, 4)
  bytes.writeInt32BE(oid, 8)
  bytes.writeInt32BE(count, 12)
  bytes.writeInt32BE(1, 16)
  return bytes
}

/** An array of byte strings; undefined is null. */
export function byteaArray(elements: readonly (Uint8Array | undefined)[]): Buffer {
  const bodyBytes = elements.reduce((sum, element) => sum + 4 + (element?.length ?? 0), 0)
  const bytes = arrayOf(OID.bytea, elements.length, bodyBytes, elements.includes(undefined))
  let at = HEAD_BYTES
  for (const element of elements) {
    bytes.writeInt32BE(element?.length ?? NULL_LENGTH, at)
    at += 4
    if (element === undefined) continue
    bytes.set(element, at)
    at += element.length
  }
  return bytes
}

function fixedArray<T>(
  oid: number,
  elementBytes: number,
  elements: readonly T[],
  write: (bytes: Buffer, element: T, at: number) => void,
): Buffer {
  const bytes = arrayOf(oid, elements.length, elements.length * (4 + elementBytes))
  let at = HEAD_BYTES
  for (const element of elements) {
    bytes.writeInt32BE(elementBytes, at)
    write(bytes, element, at + 4)
    at += 4 + elementBytes
  }
  return bytes
}

export const smallintArray = (elements: readonly number[]): Buffer =>
  fixedArray(OID.smallint, 2, elements, (bytes, element, at) => bytes.writeInt16BE(element, at))
export const integerArray = (elements: readonly number[]): Buffer =>
  fixedArray(OID.integer, 4, elements, (bytes, element, at) => bytes.writeInt32BE(element, at))
export const bigintArray = (elements: readonly bigint[]): Buffer =>
  fixedArray(OID.bigint, 8, elements, (bytes, element, at) => bytes.writeBigInt64BE(element, at))
export const booleanArray = (elements: readonly boolean[]): Buffer =>
  fixedArray(OID.boolean, 1, elements, (bytes, element, at) => bytes.writeUInt8(element ? 1 : 0, at))

export const booleanBytes = (value: boolean): Buffer => Buffer.from([value ? 1 : 0])

export function bigintBytes(value: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigInt64BE(value)
  return bytes
}

export function smallintBytes(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeInt16BE(value)
  return bytes
}
