/** The list of actions that policies may name is that of all operations. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { BUILT_IN_POLICIES } from "@hayloft/access/identities/built-in-policies.js"
import { problemsOf } from "@hayloft/access/index.js"
import { knownActions } from "./known-actions.js"

const policyOf = (...Action: string[]): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", Action, Resource: "*" }] })

const messagesOf = (...actions: string[]) =>
  problemsOf(policyOf(...actions), "identity", knownActions()).map(({ message }) => message)

test("each service of the store has its actions, also those of operators and of MinIO's clients", () => {
  const names = [...knownActions().keys()]
  const services = new Set(names.map(name => name.split(":")[0]))
  assert.deepEqual([...services].sort(), ["admin", "coord", "hayloft", "iam", "k2v", "kms", "s3", "sqs", "sts"])
  assert.deepEqual(
    messagesOf(
      "hayloft:DrainDevice",
      "hayloft:ListKeys",
      "hayloft:ListQueues",
      "hayloft:ListBuckets",
      "hayloft:ListCoordSessions",
      "hayloft:SwiftService",
      "hayloft:SetBucketQuota",
      "admin:ServerInfo",
      "admin:*",
      "iam:CreateUser",
    ),
    [],
  )
})

test("a name that is written wrong is named, with the one that is meant", () => {
  assert.deepEqual(messagesOf("hayloft:DrianDevice", "admin:CreateUsers", "iam:CreateUsr", "hayloft:CreateUser"), [
    "hayloft:DrianDevice is no action; do you mean hayloft:DrainDevice?",
    "admin:CreateUsers is no action; do you mean admin:CreateUser?",
    "iam:CreateUsr is no action; do you mean iam:CreateUser?",
    "hayloft:CreateUser is no action",
  ])
})

test("built-in policies name actions that exist", () => {
  const texts = [...BUILT_IN_POLICIES.values()].flatMap(({ versions }) => versions.map(({ text }) => text))
  const messages = texts.flatMap(text => problemsOf(text, "identity", knownActions()).map(({ message }) => message))
  assert.deepEqual(
    messages.filter(message => !message.startsWith("never matches")),
    // Amazon's policy has it as well.
    ["s3:Describe* is no action"],
  )
})
