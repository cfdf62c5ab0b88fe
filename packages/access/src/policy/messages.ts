/**
 * Messages for invalid policies: AWS's own wording where it exists, since people search for it. IAM has its wording for
 * identity and trust policies, S3 for bucket policies.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { AccessPolicyKind } from "./contract.js"

const IAM = {
  json: "Syntax errors in policy.",
  noObject: "Syntax errors in policy.",
  statement: "Syntax errors in policy.",
  actions: "Policy statement must contain actions.",
  resources: "Policy statement must contain resources.",
  principal: "Missing required field Principal",
  invalidAction: "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
  conditionKey: "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
}

type Messages = Readonly<Record<keyof typeof IAM, string>>

const S3: Messages = {
  json: "This policy contains invalid Json",
  noObject: "Policies must be valid JSON and the first byte must be '{'",
  statement: "Missing required field Statement",
  actions: "Missing required field Action",
  resources: "Missing required field Resource",
  principal: "Missing required field Principal",
  invalidAction: "Policy has invalid action",
  conditionKey: "Policy has an invalid condition key",
}

export const messagesOf = (kind: AccessPolicyKind): Messages => (kind === "resource" ? S3 : IAM)

export const INVALID_PRINCIPAL = "Invalid principal in policy"

/** `where` is a path into the document: `$.Statement[0].Condition.StringLike["s3:prefix"][1]`. */
export const malformedPolicy = (message: string, where: string): Failure => fail("malformedPolicy", { message, where })

/** The path of a member, in brackets if its name is not an identifier. */
export const pathOfMember = (where: string, name: string): string =>
  /^[A-Za-z_]\w*$/.test(name) ? `${where}.${name}` : `${where}[${JSON.stringify(name)}]`
