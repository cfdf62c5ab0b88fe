/**
 * The parameters of a commit, in one table: their names and types are the placeholders in the text of its statement, and
 * their encoders make its values.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { bytesOfByteString } from "@hayloft/base/ids.js"
import { hasLimit, type CommitRequest, type NewRow, type NewUsage } from "../database.js"
import { byStoredKey } from "../stored-key.js"
import { bigintArray, bigintBytes, booleanArray, byteaArray, smallintBytes } from "./binary.js"
import { keyArrays } from "./row-keys.js"

type SqlType = "smallint" | "bigint" | "smallint[]" | "bigint[]" | "bytea[]" | "boolean[]"

/** Parameters that are encoded together, in the order of their types. */
interface Part<Name extends string> {
  readonly types: Readonly<Record<Name, SqlType>>
  readonly encode: (request: CommitRequest) => readonly Buffer[]
}

const part = <Name extends string>(
  types: Readonly<Record<Name, SqlType>>,
  encode: (request: CommitRequest) => readonly Buffer[],
): Part<Name> => ({ types, encode })

const contentArrays = (rows: readonly NewRow[]): readonly Buffer[] => [
  byteaArray(rows.map(({ value }) => value)),
  byteaArray(rows.map(({ head }) => head)),
  byteaArray(rows.map(({ payload }) => payload)),
]

const usageArrays = (rows: readonly NewUsage[]): readonly Buffer[] => [
  byteaArray(rows.map(({ key }) => bytesOfByteString(key))),
  ...(["bytes", "objects", "partBytes"] as const).map(name =>
    bigintArray(rows.map(({ usage }) => BigInt(usage[name]))),
  ),
]

const UNLIMITED = 2n ** 63n - 1n
const orUnlimited = (most: number | undefined): bigint => (most === undefined ? UNLIMITED : BigInt(most))

const PARTS = [
  part({ incarnation: "bigint", lane: "smallint", number: "bigint", generation: "bigint" }, ({ lane, from }) => [
    bigintBytes(BigInt(lane.incarnation)),
    smallintBytes(lane.lane),
    bigintBytes(from.number),
    bigintBytes(from.generation),
  ]),
  part(
    {
      changedFamilies: "smallint[]",
      changedBuckets: "bigint[]",
      changedKeys: "bytea[]",
      changedVersions: "bigint[]",
    },
    ({ replaced, deleted }) => {
      const before = [...replaced.map(row => ({ ...row, version: row.before })), ...deleted].sort(byStoredKey)
      return [...keyArrays(before), bigintArray(before.map(row => row.version))]
    },
  ),
  part(
    {
      expectedFamilies: "smallint[]",
      expectedBuckets: "bigint[]",
      expectedKeys: "bytea[]",
      expectedVersions: "bigint[]",
    },
    ({ expected }) => [...keyArrays(expected), bigintArray(expected.map(row => row.version))],
  ),
  part({ version: "bigint" }, ({ version }) => [bigintBytes(version)]),
  part(
    {
      replacedFamilies: "smallint[]",
      replacedBuckets: "bigint[]",
      replacedKeys: "bytea[]",
      replacedValues: "bytea[]",
      replacedHeads: "bytea[]",
      replacedPayloads: "bytea[]",
      replacedKeepPayloads: "boolean[]",
    },
    ({ replaced }) => [
      ...keyArrays(replaced),
      ...contentArrays(replaced),
      booleanArray(replaced.map(row => row.keepsPayload)),
    ],
  ),
  part({ deletedFamilies: "smallint[]", deletedBuckets: "bigint[]", deletedKeys: "bytea[]" }, ({ deleted }) =>
    keyArrays(deleted),
  ),
  part(
    {
      addedFamilies: "smallint[]",
      addedBuckets: "bigint[]",
      addedKeys: "bytea[]",
      addedValues: "bytea[]",
      addedHeads: "bytea[]",
      addedPayloads: "bytea[]",
    },
    ({ added }) => [...keyArrays(added), ...contentArrays(added)],
  ),
  part(
    {
      countedBuckets: "bigint[]",
      countedObjects: "bigint[]",
      countedVersions: "bigint[]",
      countedBytes: "bigint[]",
      countedUploads: "bigint[]",
    },
    ({ counts }) => [
      bigintArray(counts.map(({ bucketId }) => BigInt(bucketId))),
      ...(["objects", "versions", "bytes", "uploads"] as const).map(name =>
        bigintArray(counts.map(({ change }) => BigInt(change[name]))),
      ),
    ],
  ),
  part({ droppedCounters: "bigint[]" }, ({ droppedCounters }) => [bigintArray(droppedCounters.map(BigInt))]),
  part(
    {
      usageKeys: "bytea[]",
      usageBytes: "bigint[]",
      usageObjects: "bigint[]",
      usagePartBytes: "bigint[]",
      usageBytesMax: "bigint[]",
      usageObjectsMax: "bigint[]",
    },
    ({ usage }) => [
      ...usageArrays(usage),
      bigintArray(usage.map(({ bytesBeforeMax }) => orUnlimited(bytesBeforeMax))),
      bigintArray(usage.map(({ objectsBeforeMax }) => orUnlimited(objectsBeforeMax))),
    ],
  ),
  part(
    {
      newUsageKeys: "bytea[]",
      newUsageBytes: "bigint[]",
      newUsageObjects: "bigint[]",
      newUsagePartBytes: "bigint[]",
    },
    ({ newUsage }) => usageArrays(newUsage),
  ),
  part({ droppedUsage: "bytea[]", usageHasLimit: "boolean[]" }, ({ droppedUsage, usage }) => [
    byteaArray(droppedUsage.map(bytesOfByteString)),
    booleanArray(usage.map(hasLimit)),
  ]),
  part({ firstUs: "bigint", lastUs: "bigint" }, ({ firstUs, lastUs }) => [
    bigintBytes(BigInt(firstUs)),
    bigintBytes(BigInt(lastUs)),
  ]),
] as const

type NameIn<P> = P extends Part<infer Name> ? Name : never
type CommitParameter = NameIn<(typeof PARTS)[number]>

const PLACEHOLDERS: ReadonlyMap<string, string> = new Map(
  PARTS.flatMap(({ types }) => Object.entries(types)).map(([name, type], at) => [name, `$${at + 1}::${type}`]),
)

/** The placeholders of parameters in the text of the statement, each with its type. */
export const commitParameter = (...names: readonly CommitParameter[]): string =>
  names.map(name => must(PLACEHOLDERS.get(name), "the table has all names")).join(", ")

/** The values of all parameters, in the order of their numbers. */
export function commitValues(request: CommitRequest): readonly Buffer[] {
  const values = PARTS.flatMap(({ encode }) => encode(request))
  assert(values.length === PLACEHOLDERS.size, "each parameter has a value")
  return values
}
