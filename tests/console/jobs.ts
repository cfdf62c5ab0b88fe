/** The page of jobs: a job on objects of a real store is watched, paused and cancelled; background work rests as told. */
import assert from "node:assert/strict"
import type { Jobs, StartedJob } from "../../console/api/shapes.js"
import { assertAccessible, assertFits, standardTests, type ConsoleWorld, type PageTests } from "./harness.js"

const OBJECTS = 12

/** Deletes an object in ten seconds: it does not end by itself within a test. */
async function startSlowJob(world: ConsoleWorld, bucket: string): Promise<string> {
  const job = { kind: "delete-objects", itemsPerSecond: 0.1 }
  return ((await world.admin("POST", `/v1/buckets/${bucket}/jobs`, { dryRun: false, job })) as StartedJob).id
}

const prepare = async (world: ConsoleWorld): Promise<void> => {
  const client = world.server.client()
  for (const bucket of ["archive", "tasks"]) {
    assert.equal((await client.call("PUT", { bucket })).status, 200)
    for (let at = 0; at < OBJECTS; at += 1) {
      assert.equal((await client.call("PUT", { bucket, key: `${at}.jpg`, body: "x" })).status, 200)
    }
  }
  await startSlowJob(world, "archive")
}

export const jobs: PageTests = {
  prepare,
  define(world, pageTest) {
    const jobs = async (): Promise<Jobs> => (await world.server.report("/v1/jobs")) as Jobs

    standardTests(world, pageTest, {
      address: "/console/jobs",
      heading: "Jobs",
      request: "**/v1/jobs*",
      shows: /background jobs|others are idle/,
      picture: "jobs",
    })

    pageTest(
      "a job shows its progress live, is paused, resumed and cancelled, and stays among the ended ones",
      async () => {
        const page = await world.open("/console/jobs")
        const underWay = page.getByRole("table", { name: "Started jobs that have not ended" })
        await underWay.getByRole("row").nth(1).waitFor()
        const id = await startSlowJob(world, "tasks")
        // The page is not reloaded.
        const row = underWay.getByRole("row").filter({ hasText: id })
        await row.getByText(`of ${OBJECTS} objects`).waitFor()
        await row.getByRole("button", { name: `Pause ${id}` }).click()
        await row.getByText("paused", { exact: true }).waitFor()
        await row.getByRole("button", { name: `Resume ${id}` }).click()
        await row.getByText("running", { exact: true }).waitFor()
        await row.getByRole("button", { name: `Cancel ${id}` }).click()
        await assertAccessible(page)
        await page.getByRole("dialog").getByRole("button", { name: "Cancel the job" }).click()
        const ended = page.getByRole("table", { name: "Started jobs that have ended" })
        await ended.getByRole("row").filter({ hasText: id }).getByText("cancelled", { exact: true }).waitFor()
        assert.equal((await jobs()).started.find(job => job.id === id)?.state, "cancelled")
        await ended.getByRole("link", { name: id }).click()
        await page.getByRole("heading", { level: 1, name: id }).waitFor()
        await page.getByText(`${OBJECTS} objects,`).first().waitFor()
        await assertAccessible(page)
      },
    )

    pageTest("a store without started jobs says where they are started", async () => {
      const page = await world.open("/console/jobs", {
        before: async opened => {
          await opened.route("**/v1/jobs*", async route => {
            const response = await route.fetch()
            const { jobs: own } = (await response.json()) as Jobs
            await route.fulfill({ response, json: { jobs: own, started: [] } })
          })
        },
      })
      await page.getByText("No started job is under way").waitFor()
      await page.getByRole("link", { name: "a bucket", exact: true }).click()
      await page.getByRole("heading", { level: 1, name: "Buckets" }).waitFor()
    })

    pageTest("background work is paused, resumed, woken and throttled; what is refused says so", async () => {
      const page = await world.open("/console/jobs")
      await page.getByText(/background jobs, all idle|others are idle/).click()
      // A job that is paused moves among those that are not idle.
      const row = page.getByRole("row").filter({ hasText: "integrity-audit" })
      await row.getByText("Audit of all data").waitFor()
      await row.getByRole("button", { name: "Pause integrity-audit" }).click()
      await row.getByText("paused", { exact: true }).waitFor()
      await row.getByRole("button", { name: "Resume integrity-audit" }).click()
      await row.getByText("paused", { exact: true }).waitFor({ state: "detached" })
      await row.getByRole("button", { name: "Wake integrity-audit" }).click()
      await page.getByRole("log").getByText("integrity-audit looks for work").waitFor()
      await row.getByRole("button", { name: "Set the throttle of integrity-audit" }).click()
      const dialog = page.getByRole("dialog", { name: "Throttle of integrity-audit" })
      await dialog.getByRole("spinbutton").fill("-1")
      await dialog.getByText("A number from 0 on.").waitFor()
      await dialog.getByRole("spinbutton").fill("7.5")
      await page.keyboard.press("Enter")
      await row.getByText("7.5", { exact: true }).waitFor()
      assert.equal((await jobs()).jobs.find(({ name }) => name === "integrity-audit")?.throttle, 7.5)
      const body = JSON.stringify({ error: { code: "outOfScope", message: "this token may not pause jobs" } })
      await page.route("**/v1/jobs/*/pause", route => route.fulfill({ status: 403, body }))
      await row.getByRole("button", { name: "Pause integrity-audit" }).click()
      await page.getByRole("log").getByText("this token may not pause jobs").waitFor()
    })

    pageTest("failures of a job are listed with their reasons, and fit a phone", async () => {
      const [job] = (await jobs()).started
      assert.ok(job)
      const failures = [{ key: "2024/march.jpg", versionId: "v1", reason: "it is locked until 2027-01-01" }]
      const counts = { scanned: 9, matched: 3, matchedBytes: 3, done: 2, doneBytes: 2, failed: 1 }
      const failed: StartedJob = { ...job, state: "failed", endedMs: 1, result: "1 object failed", counts, failures }
      const page = await world.open(`/console/jobs/${job.id}`, {
        isPhone: true,
        before: async opened => void (await opened.route("**/v1/jobs/*", route => route.fulfill({ json: failed }))),
      })
      await page.getByText("it is locked until 2027-01-01").waitFor()
      await page.getByText("2024/march.jpg").waitFor()
      await assertFits(page)
      await assertAccessible(page)
    })
  },
}
