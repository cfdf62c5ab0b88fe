/**
 * Managed policies that every account has: the few of Amazon's that concern the services of this store, and MinIO's canned
 * policies, with what they allow there. They never change.
 */
import type { ManagedPolicyRecord } from "@hayloft/engine/format/accounts/identity-records.js"

const SINCE_MS = Date.UTC(2026, 0, 1)

const allow = (Action: readonly string[], Resource: string): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action, Resource }] }, null, 2)

function builtIn(
  name: string,
  description: string,
  actions: readonly string[],
  resource = "*",
): [string, ManagedPolicyRecord] {
  const record = {
    name,
    path: "/",
    id: `ANPA${name.toUpperCase().slice(0, 17).padEnd(17, "0")}`,
    createdMs: SINCE_MS,
    updatedMs: SINCE_MS,
    description,
    tags: [],
    defaultVersion: 1,
    lastVersion: 1,
    versions: [{ number: 1, createdMs: SINCE_MS, text: allow(actions, resource) }],
  }
  return [`arn:aws:iam::aws:policy/${name}`, record]
}

const S3 = "arn:aws:s3:::*"

/** By ARN. */
export const BUILT_IN_POLICIES: ReadonlyMap<string, ManagedPolicyRecord> = new Map([
  builtIn("AdministratorAccess", "All actions on all resources of the account.", ["*"]),
  builtIn("AmazonS3FullAccess", "All actions on all buckets of the account.", ["s3:*"]),
  builtIn("AmazonS3ReadOnlyAccess", "Reading all buckets of the account.", ["s3:Get*", "s3:List*", "s3:Describe*"]),
  builtIn("AmazonSQSFullAccess", "All actions on all queues of the account.", ["sqs:*"]),
  builtIn("AmazonSQSReadOnlyAccess", "Reading the attributes of all queues of the account.", ["sqs:Get*", "sqs:List*"]),
  builtIn("IAMFullAccess", "All actions on the account's users, groups, roles and policies.", ["iam:*"]),
  builtIn("IAMReadOnlyAccess", "Reading the account's users, groups, roles and policies.", ["iam:Get*", "iam:List*"]),
  builtIn("K2VFullAccess", "All actions on the K2V items of all buckets of the account.", ["k2v:*"]),
  builtIn("K2VReadOnlyAccess", "Reading the K2V items of all buckets of the account.", ["k2v:Read*", "k2v:Poll*"]),
  builtIn("consoleAdmin", "All actions on all resources of the account.", ["*"]),
  builtIn("diagnostics", "What the store does and how it is, without its objects.", [
    "hayloft:Get*",
    "hayloft:ListEvents",
    "hayloft:FollowEvents",
    "hayloft:ListBuckets",
    "hayloft:ListDevices",
    "hayloft:ListJobs",
    "hayloft:ListNodes",
    "hayloft:TraceRequests",
  ]),
  builtIn("readonly", "Reading objects whose names are known.", ["s3:GetBucketLocation", "s3:GetObject"], S3),
  builtIn("readwrite", "All actions on all buckets of the account.", ["s3:*"], S3),
  builtIn("writeonly", "Writing objects.", ["s3:PutObject"], S3),
])
