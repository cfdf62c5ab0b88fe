/** The costs of membership: messages and bytes of nodes, queries of the database, by the real limits and encoders. */
import { LEASE_LIMITS } from "@hayloft/node/cluster/leases-core.js"
import { MEMBERSHIP_LIMITS } from "@hayloft/node/cluster/membership.js"
import { SHARED_RECORD_LIMITS } from "@hayloft/node/cluster/shared-record.js"
import { encodeControlRow, encodeNodeRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import { encodeControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { encodeAnswer, encodeCall } from "@hayloft/engine/format/nodes/frame.js"
import { CALL_NUMBERS, SHARD_CALLS } from "@hayloft/engine/format/nodes/shard-calls.js"
import { REMOTE_LIMITS } from "@hayloft/engine/remote/limits.js"
import { SQL_LIMITS } from "@hayloft/engine/sql/limits.js"
import { deviceIdOf, nodeRowOf, recordOf } from "../records.js"

/** IP, TCP with timestamps, and a record of TLS 1.3. */
const CARRIED_BYTES = 20 + 32 + 22

function callBytes(): number {
  const { request, response } = SHARD_CALLS.deviceStates
  const call = encodeCall(1, {
    method: CALL_NUMBERS.deviceStates,
    callClass: "client",
    deadlineMs: REMOTE_LIMITS.statesMs,
    lengthBytes: 0,
    header: request.encode(undefined),
  })
  const states = response.encode([{ id: deviceIdOf(1), isWritable: true, isFull: false }])
  return call.length + encodeAnswer(1, 0, states).length + 2 * CARRIED_BYTES
}

export interface MembershipCosts {
  /** A second, of each node: those that it sends, as caller and as answerer. */
  readonly messages: number
  readonly bytes: number
  /** A second, of all nodes together. */
  readonly queries: number
  readonly rows: number
  readonly databaseBytes: number
}

export function heartbeatCosts(nodes: number): MembershipCosts {
  const perSecond = (periodMs: number): number => 1_000 / periodMs
  const calls = (nodes - 1) * perSecond(REMOTE_LIMITS.statesEveryMs)
  const beats = perSecond(MEMBERSHIP_LIMITS.beatEveryMs)
  const records = perSecond(SHARED_RECORD_LIMITS.readEveryMs)
  // Between half of the period and all of it.
  const leases = perSecond(0.75 * LEASE_LIMITS.watchEveryMs)
  const incarnations = perSecond(SQL_LIMITS.incarnationsEveryMs)
  const rowBytes = encodeNodeRow(nodeRowOf(1, 1_000, [])).length
  const record = encodeControlRow({ generation: 1, record: encodeControlRecord(recordOf(nodes)) })
  return {
    messages: 2 * calls,
    bytes: calls * callBytes(),
    // A heartbeat is written, and the rows of all are read behind it.
    queries: nodes * (2 * beats + records + leases + incarnations),
    rows: nodes * beats * nodes,
    databaseBytes: nodes * (beats * nodes * rowBytes + records * record.length),
  }
}
