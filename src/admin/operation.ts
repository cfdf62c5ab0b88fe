/**
 * Operations of `/v1`: each is a row that routes requests and from which the OpenAPI document is generated. A row's
 * `run` makes one service call and returns the reply's JSON.
 */
import type { z } from "zod"
import type { Accounts } from "../access/contract.js"
import type { AdminTokens, AuditLog, Denials } from "../access/index.js"
import { fail } from "../base/failures.js"
import type { AccountId } from "../base/ids.js"
import type { NamedKeys } from "../keys/index.js"
import type { Buckets, SettingDocuments } from "../object/contract.js"
import type { LifecycleInspection, Quotas, Undelete } from "../object/index.js"
import type {
  Erasures,
  MasterKeyRotation,
  Reconciling,
  StoreConversion,
  StoreOperations,
  StoreStatus,
} from "../node/index.js"

export interface Services {
  readonly accounts: Accounts
  readonly buckets: Buckets
  readonly lifecycle: Pick<LifecycleInspection, "explain" | "preview">
  readonly quotas: Pick<Quotas, "show" | "set" | "clear" | "check" | "restart">
  readonly undelete: Pick<Undelete, "setUndelete" | "listDeleted" | "undelete" | "purgeDeleted">
  readonly namedKeys: NamedKeys
  readonly erasures: Pick<Erasures, "begin" | "state">
  readonly masterKey: Pick<MasterKeyRotation, "report" | "rotate">
  readonly status: StoreStatus
  readonly store: StoreOperations
  readonly conversion: StoreConversion
  /** Undefined for a store on one machine. */
  readonly reconciling?: Pick<Reconciling, "report" | "compare" | "apply" | "entries"> | undefined
  readonly tokens: Pick<AdminTokens, "create" | "list" | "revoke">
  readonly audit: Pick<AuditLog, "list">
  readonly denials: Pick<Denials, "find">
  readonly rootAccount: AccountId
  readonly newBucketSettings: SettingDocuments
}

export interface OperationInput {
  /** The decoded path segment that matches the braces; "" if the path has none. */
  readonly target: string
  readonly query: ReadonlyMap<string, string>
  /** Undefined if the operation has no body. */
  readonly body: unknown
}

export interface Operation {
  readonly id: string
  readonly method: "GET" | "POST" | "DELETE"
  /** `/v1/devices/{id}/drain`: at most one segment in braces. */
  readonly path: string
  readonly summary: string
  readonly parameters: readonly { readonly name: string; readonly description: string }[]
  readonly request: z.ZodType | undefined
  /** With `dryRun` in its body it only plans; of other operations that says nothing. */
  readonly mayPlan?: boolean
  /** A request without a body is one with an empty object. */
  readonly isBodyOptional?: boolean
  readonly response: { readonly status: number; readonly schema: z.ZodType | undefined }
  run(services: Services, input: OperationInput): Promise<unknown>
}

/** Parses a body by its schema. Throws `invalidArgument` with the path and the reason. */
export function parseBody<T extends z.ZodType>(type: T, body: unknown): z.output<T> {
  const parsed = type.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const place = issue === undefined || issue.path.length === 0 ? "the body" : issue.path.join(".")
  throw fail("invalidArgument", { message: `${place}: ${issue?.message ?? "not valid"}` })
}
