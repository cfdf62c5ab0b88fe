import assert from "node:assert/strict"
import { test } from "node:test"
import type { Account } from "@hayloft/access/contract.js"
import { parseAccountId, parseAccountNumber } from "@hayloft/base/ids.js"
import { accountNamedIn, mayNameRole } from "./named-roles.js"

const NUMBER = "631962689094"
const ACCOUNT: Account = {
  id: parseAccountId("a".repeat(64)),
  number: parseAccountNumber(NUMBER),
  displayName: "root",
  email: "",
  createdMs: 0,
}
const ACCOUNTS = {
  accountOfNumber: (number: string): Promise<Account | undefined> =>
    Promise.resolve(number === NUMBER ? ACCOUNT : undefined),
}
const OWN = [`arn:aws:iam::${NUMBER}:role/backup`, `arn:minio:iam::${NUMBER}:rol`, `arn:aws:sts::${NUMBER}`]
const FOREIGN = [
  "",
  "backup",
  "role/backup",
  "arn:minio:iam:::role/backup",
  "arn:aws:iam::000000000000:role/backup",
  `arn:aws:iam::${NUMBER}0:role/backup`,
  `arn:aws:iam::x:role/${NUMBER}`,
  ":".repeat(2_048),
]
const DOCUMENTED = ["arn:x:ignored:by:minio:", "arn:xxx:xxx:xxx:xxxx"]

test("the account of an ARN is where ARNs have it, and has twelve digits", () => {
  for (const arn of OWN) assert.equal(accountNamedIn(arn), NUMBER, arn)
  for (const arn of FOREIGN.filter(text => !text.includes("000000000000")))
    assert.equal(accountNamedIn(arn), undefined, arn)
})

test("a text may name a role: with the setting only if it names an account of the store", async () => {
  const mayName = (arn: string, ignoresUnknown: boolean) => mayNameRole(arn, ACCOUNTS, ignoresUnknown)
  for (const arn of OWN) assert.deepEqual([await mayName(arn, true), await mayName(arn, false)], [true, true], arn)
  for (const arn of FOREIGN) assert.deepEqual([await mayName(arn, true), await mayName(arn, false)], [false, true], arn)
  for (const arn of DOCUMENTED)
    assert.deepEqual([await mayName(arn, true), await mayName(arn, false)], [false, false], arn)
})
