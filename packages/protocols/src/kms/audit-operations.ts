/**
 * The audit log of KMS: each operation that changes a key, its policy, tags, rotation or aliases, with what the operation
 * that shows it returns before and after. Encryption and decryption change nothing.
 */
import { audited, auditCallerOf, auditText, type AuditLog } from "@hayloft/access/index.js"
import { KmsInput } from "./input.js"
import { KmsCall, type KmsOperation, type KmsResult } from "./operation.js"
import { findOperation } from "./operations.js"

const READS = /^(Get|List|Describe|Encrypt|Decrypt|ReEncrypt|Generate)/

/** The operation that shows what others change; DescribeKey shows the rest. */
const SHOWN_BY: readonly (readonly [changes: RegExp, shows: string])[] = [
  [/^PutKeyPolicy$/, "GetKeyPolicy"],
  [/^(Tag|Untag)Resource$/, "ListResourceTags"],
  [/Rotation$/, "GetKeyRotationStatus"],
  [/^RotateKeyOnDemand$/, "ListKeyRotations"],
]

interface AuditedRequest {
  readonly requestId: string
  readonly remoteAddress: string
  readonly keyId: string
}

/** Runs the operation, which checks its caller's permissions itself: so requests that are denied are recorded too. */
export async function auditedOperation(
  log: Pick<AuditLog, "begin">,
  { requestId, remoteAddress, keyId }: AuditedRequest,
  call: KmsCall,
  operation: KmsOperation,
): Promise<KmsResult> {
  const act = async (): Promise<KmsResult> => (await operation.act(call)) ?? undefined
  const { name, input, caller, services } = call
  if (READS.test(name)) return act()
  const members = input.all
  // By its alias for what changes aliases: it shows which key that is.
  const member = ["AliasName", "KeyId"].map(each => members[each]).find(value => typeof value === "string")
  const target = typeof member === "string" ? member : ""
  const change = {
    caller: auditCallerOf(caller.principal, keyId, remoteAddress),
    requestId,
    operation: `kms:${name}`,
    target,
    request: auditText(members),
  }
  const show = async (): Promise<string | undefined> => {
    const shows = findOperation(SHOWN_BY.find(([changes]) => changes.test(name))?.[1] ?? "DescribeKey")
    if (target === "" || shows === undefined || shows === "refused") return undefined
    // Under the name of the request: a caller that may make it may not be allowed to describe keys.
    const asked = KmsInput.parse(JSON.stringify({ KeyId: target }))
    return auditText((await shows.act(new KmsCall(services, name, asked, caller))) ?? undefined)
  }
  const after = async (result: KmsResult) => (name === "CreateKey" ? auditText(result) : show())
  return audited(log, change, { before: show, after }, act)
}
