/**
 * Admission: which nodes of the database's table are peers. A row counts only with a valid HMAC under the master key,
 * so access to the database alone admits no node. During a rotation a node also proves that it has the next master key.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import { deriveKey } from "@hayloft/access/index.js"
import { encodeNodeAdmission, type NodeAdmission } from "@hayloft/engine/format/nodes/node-admission.js"

const PURPOSE = "node admission"
const NEXT_PURPOSE = "next master key"

/** Returns the proof that a node with the master key writes into its row. */
export const proveAdmission = (masterKey: Uint8Array, admission: NodeAdmission): Uint8Array =>
  createHmac("sha256", deriveKey(masterKey, PURPOSE)).update(encodeNodeAdmission(admission)).digest()

/** Compares in constant time. */
export const isAdmitted = (masterKey: Uint8Array, admission: NodeAdmission, proof: Uint8Array): boolean =>
  isSame(proof, proveAdmission(masterKey, admission))

type NodeOfStore = Pick<NodeAdmission, "storeId" | "nodeName">

/** Returns a node's proof to the others that it has the key which the operator wants to be the next master key. */
export const proveNextKey = (nextKey: Uint8Array, { storeId, nodeName }: NodeOfStore): Uint8Array =>
  createHmac("sha256", deriveKey(nextKey, NEXT_PURPOSE)).update(`${storeId} ${nodeName}`).digest()

export const hasNextKey = (nextKey: Uint8Array, node: NodeOfStore, proof: Uint8Array | undefined): boolean =>
  proof !== undefined && isSame(proof, proveNextKey(nextKey, node))

const isSame = (proof: Uint8Array, expected: Uint8Array): boolean =>
  proof.length === expected.length && timingSafeEqual(proof, expected)
