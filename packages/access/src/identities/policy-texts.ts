/** Checks a policy's text before it is stored: it must be valid and within the size limit. */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { IdentityKind, InlinePolicy } from "@hayloft/engine/format/accounts/identity-records.js"
import type { AccessPolicyKind } from "../policy/contract.js"
import { POLICY_LIMITS, policyCharacters } from "../policy/limits.js"
import type { ParsePolicy } from "../policy/contract.js"

const INLINE_CHARACTERS_MAX: Readonly<Record<IdentityKind, number>> = {
  user: POLICY_LIMITS.userInlineCharactersMax,
  group: POLICY_LIMITS.groupInlineCharactersMax,
  role: POLICY_LIMITS.roleInlineCharactersMax,
}

const tooLong = (charactersMax: number): Failure =>
  fail("limitExceeded", { message: `Cannot exceed quota for PolicySize: ${charactersMax}` })

/** Throws `malformedPolicy`, `limitExceeded`. */
export function checkPolicyText(
  parse: ParsePolicy,
  text: string,
  kind: AccessPolicyKind = "identity",
  charactersMax: number = POLICY_LIMITS.managedCharactersMax,
): void {
  if (text.length > POLICY_LIMITS.textCharactersMax || policyCharacters(text) > charactersMax)
    throw tooLong(charactersMax)
  parse(text, kind)
}

/** Checks the total size of one identity's inline policies. Throws `limitExceeded`. */
export function checkInlineSize(kind: IdentityKind, inline: readonly InlinePolicy[]): void {
  const characters = inline.reduce((sum, { text }) => sum + policyCharacters(text), 0)
  if (characters > INLINE_CHARACTERS_MAX[kind]) throw tooLong(INLINE_CHARACTERS_MAX[kind])
}
