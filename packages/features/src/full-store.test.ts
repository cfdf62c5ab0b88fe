/** A store whose disks are full up to half of the reserve: commands of features that make space, or take less from now on, run. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccountId, parseBucketId, parseJobId } from "@hayloft/base/ids.js"
import { setSetting } from "@hayloft/objects/commands/bucket-commands-core.js"
import "@hayloft/objects/testing-features.js"
import { changeQueue } from "./queues/queue-commands-core.js"
import {
  advanceAccountUsage,
  finishBucketUsage,
  setAccountQuota,
  setBucketQuota,
} from "./quotas/quota-commands-core.js"
import { startJob } from "./user-jobs/job-commands-core.js"

const BUCKET = parseBucketId(1)
const ACCOUNT = parseAccountId("team")

test("on a full store a quota can be set or lowered, and its count begins", () => {
  const setting = { limits: { hardBytes: 1 }, restarts: false }
  for (const { name, grows } of [
    setBucketQuota(BUCKET, setting),
    setAccountQuota(ACCOUNT, setting),
    finishBucketUsage(BUCKET, "run"),
    advanceAccountUsage(ACCOUNT, "run"),
  ])
    assert.equal(grows, false, name)
})

test("on a full store messages can end sooner, and a lifecycle rule or a job can remove objects", () => {
  const nothing = { scanned: 0, matched: 0, matchedBytes: 0, done: 0, doneBytes: 0, failed: 0 }
  const job = startJob(parseJobId("delete-aaaaaaaa"), {
    kind: "delete",
    target: "photos",
    request: "{}",
    starter: { kind: "operator", id: "", name: "" },
    startedMs: 1,
    state: "running",
    isPaused: false,
    isCancelling: false,
    isDryRun: false,
    isCounted: false,
    cursor: "",
    step: undefined,
    counts: nothing,
    rate: 0,
    failures: [],
    lastError: undefined,
    ended: undefined,
    revision: 0,
  })
  for (const { name, grows } of [
    changeQueue({ account: ACCOUNT, name: "mail" }, { settings: { retentionSeconds: 60 } }),
    setSetting(BUCKET, "lifecycle", "{}"),
    job,
  ])
    assert.equal(grows, false, name)
  assert.equal(setSetting(BUCKET, "cors", "{}").grows, true)
})
