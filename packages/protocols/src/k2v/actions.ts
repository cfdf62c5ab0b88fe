/** The actions of K2V, as access policies name them. On an index the resource is the bucket, else `BUCKET/PARTITION`. */
const K2V_ACTIONS = [
  "ReadItem",
  "PollItem",
  "InsertItem",
  "DeleteItem",
  "ReadIndex",
  "InsertBatch",
  "ReadBatch",
  "DeleteBatch",
  "PollRange",
] as const

export type OperationName = (typeof K2V_ACTIONS)[number]

export const k2vActions = (): readonly string[] => K2V_ACTIONS.map(name => `k2v:${name}`)
