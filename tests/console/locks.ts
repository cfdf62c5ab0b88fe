/** The page of locks: namespaces with their locks and files, sessions and how one is ended, and a store without coordination. */
import assert from "node:assert/strict"
import { after } from "node:test"
import { CoordClient } from "@hayloft/client/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { assertAccessible, assertFits, failWith, standardTests, type ConsoleWorld, type PageTests } from "./harness.js"

const PATH = "jobs/nightly"
/** Sessions renew themselves until it fires: the server may have started again without coordination by then. */
const over = new AbortController()

type Session = Awaited<ReturnType<CoordClient["begin"]>>

let client: CoordClient | undefined
let leader: Session | undefined
let follower: Session | undefined

after(() => {
  over.abort()
  client?.close()
})

/** The leader holds the lock and a file; the follower waits for the lock. */
async function prepare({ server }: Pick<ConsoleWorld, "server">): Promise<void> {
  const access = { endpoint: server.adminEndpoint, token: await server.adminToken() }
  client = new CoordClient(access, new RealClock(), over.signal)
  leader = await client.begin({ name: "worker-1" })
  follower = await client.begin({ name: "worker-2" })
  assert.ok(await leader.acquire(PATH, { value: "10.0.0.1:80 <b>" }))
  await leader.write("jobs/members/one", "here")
  await client.write("jobs/settings", "x".repeat(2_048))
  const body = JSON.stringify({ session: follower.id, value: "10.0.0.2:80", keepsPlace: true })
  assert.equal((await client.send({ method: "PUT", target: `locks/${PATH}`, body })).status, 202)
}

export const locks: PageTests = {
  args: () => Promise.resolve(["--coordination"]),
  prepare,
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: "/console/locks",
      heading: "Locks",
      request: "**/v1/coordination/namespaces*",
      shows: "jobs",
      picture: "locks",
    })

    pageTest("a namespace shows who holds its locks and how many wait, and its files", async () => {
      const page = await world.open("/console/locks")
      await page.getByRole("link", { name: "jobs", exact: true }).click()
      await page.getByRole("heading", { name: "jobs", level: 1 }).waitFor()
      const lock = page.getByRole("row", { name: PATH })
      await lock.getByText("worker-1").waitFor()
      const cells = await lock.getByRole("cell").allTextContents()
      const [holder] = (await client?.holders(PATH)) ?? []
      assert.deepEqual([cells[0], cells[1], cells[3]], [PATH, "exclusive", "10.0.0.1:80 <b>"])
      assert.deepEqual([cells[2], cells[5]], [`worker-1 ${leader?.id.slice(0, 8)}…`, String(holder?.token)])
      assert.match(cells[4] ?? "", /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/)
      assert.equal(cells[6], "1", "one session waits")
      const member = page.getByRole("row", { name: "jobs/members/one" })
      await member.getByText("worker-1").waitFor()
      const settings = await page.getByRole("row", { name: "jobs/settings" }).getByRole("cell").allTextContents()
      assert.equal(settings.at(-1), "–", "it ends with no session")
      await assertAccessible(page)
      await page.setViewportSize({ width: 390, height: 844 })
      await assertFits(page)
    })

    pageTest("a store without coordination says how to switch it on", async () => {
      for (const address of ["/console/locks", "/console/locks/-/jobs"]) {
        const before = { before: (page: Parameters<typeof failWith>[0]) => failWith(page, OF_COORDINATION, ...OFF) }
        const page = await world.open(address, before)
        await page.getByText("Coordination is switched off").waitFor()
        await page.getByText("--coordination", { exact: true }).waitFor()
        assert.equal(await page.getByRole("button", { name: "Retry" }).count(), 0)
        await assertAccessible(page)
      }
    })

    pageTest(
      "a session is ended once that is confirmed: its lock goes to the next, and its file is deleted",
      async () => {
        const page = await world.open("/console/locks")
        const row = page.getByRole("row", { name: leader?.id ?? "" })
        await row.getByRole("button", { name: "End worker-1" }).click()
        const dialog = page.getByRole("dialog")
        await dialog.getByText("its locks go to others, its files are deleted").waitFor()
        await assertAccessible(page)
        await dialog.getByRole("button", { name: "Cancel" }).click()
        assert.deepEqual(await holders(), [leader?.id], "nothing has ended")
        await row.getByRole("button", { name: "End worker-1" }).click()
        await dialog.getByRole("button", { name: "End worker-1" }).click()
        await page.getByText("The session worker-1 has ended").waitFor()
        await row.waitFor({ state: "detached" })
        await page.getByRole("row", { name: follower?.id ?? "" }).waitFor()
        assert.deepEqual(await holders(), [follower?.id])
        assert.equal(await client?.read("jobs/members/one"), undefined)
      },
    )
  },
}

const OF_COORDINATION = "**/v1/coordination/**"
const OFF = [501, "notImplemented"] as const

const holders = async () => ((await client?.holders(PATH)) ?? []).map(({ session }) => session)
