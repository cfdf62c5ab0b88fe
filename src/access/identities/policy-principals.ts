/**
 * Users and roles in policies by their unique ids: so they are kept, since an ARN would let in whoever bears it later.
 *
 * Promises  A policy is kept with the id of every user, role and session of a role that it names and that is there, and
 *           shown with their ARNs of now. Somebody who was deleted is shown by the id, which nobody else ever has.
 *           What names nobody who is there is kept as it is.
 * Limits    One entry for each user and role of the store, read anew when a policy is shown after a change of identities.
 * Source    "AWS JSON policy elements: Principal", IAM User Guide.
 */
import { parseAccountNumber, rowKeyOf } from "../../base/ids.js"
import type { AccountNumber } from "../../base/ids.js"
import { decodeIdentity, type IdentityRecord } from "../../format/identity-records.js"
import { decodeAccount } from "../../format/records.js"
import { accountRange } from "../../format/row-key.js"
import type { Directory } from "../directory.js"
import { findAccountId } from "../find-account-core.js"
import { mapPrincipals } from "../policy/map-principals.js"
import { findIdentity } from "./identity-commands-core.js"
import { identityArn, parseIdentityArn, sessionArn } from "./names.js"

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }
const SESSION_ARN = /^arn:aws:sts::(\d{12}):assumed-role\/([^/]+)\/(.+)$/
const UNIQUE_ID = /^((?:AIDA|AROA)[A-Z0-9]+)(?::(.+))?$/

interface Named {
  readonly number: AccountNumber
  readonly identity: Pick<IdentityRecord, "kind" | "path" | "name">
}

export class PolicyPrincipals {
  private readonly named = new Map<string, Named>()
  private generation: number | undefined

  constructor(private readonly directory: Directory) {}

  /** A policy as it is kept. */
  pinned(text: string): string {
    return mapPrincipals(text, name => this.idOf(name) ?? name)
  }

  /** A policy as it is shown. */
  shown(text: string): string {
    return mapPrincipals(text, name => this.arnOf(name) ?? name)
  }

  private idOf(arn: string): string | undefined {
    const [, number, roleName = "", sessionName] = SESSION_ARN.exec(arn) ?? []
    if (number === undefined) return (this.byArn("user", arn) ?? this.byArn("role", arn))?.id
    const role = this.find(number, "role", roleName)
    return role?.name === roleName ? `${role.id}:${sessionName ?? ""}` : undefined
  }

  private byArn(kind: "user" | "role", arn: string): IdentityRecord | undefined {
    const parsed = parseIdentityArn(kind, arn)
    const found = parsed && this.find(parsed.account, kind, parsed.name)
    return found?.name === parsed?.name && found?.path === parsed?.path ? found : undefined
  }

  private find(number: string, kind: "user" | "role", name: string): IdentityRecord | undefined {
    const { rows } = this.directory
    const accountId = number === "aws" ? undefined : findAccountId(rows, parseAccountNumber(number))
    return accountId && findIdentity(rows, { accountId, kind, name })
  }

  private arnOf(text: string): string | undefined {
    const [, id, sessionName] = UNIQUE_ID.exec(text) ?? []
    const found = id === undefined ? undefined : this.byId(id)
    if (found === undefined) return undefined
    const { number, identity } = found
    return sessionName === undefined ? identityArn(number, identity) : sessionArn(number, identity.name, sessionName)
  }

  private byId(id: string): Named | undefined {
    if (this.generation !== this.directory.generation) this.readAll()
    return this.named.get(id)
  }

  private readAll(): void {
    const { rows, generation } = this.directory
    this.generation = generation
    this.named.clear()
    for (const [, account] of rows.range("accounts", ALL)) {
      const { id: accountId, number } = decodeAccount(account.value)
      for (const kind of ["user", "role"] as const) {
        for (const [, row] of rows.range("identities", accountRange(accountId, kind))) {
          const { id, path, name } = decodeIdentity(row.value)
          this.named.set(id, { number, identity: { kind, path, name } })
        }
      }
    }
  }
}
