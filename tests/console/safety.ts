/** The page on the safety of the store: on a real one, and with states that a test cannot easily cause. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Page } from "playwright-core"
import { problemsOf } from "../../console/pages/safety-problems.js"
import type { Status } from "../../console/api/shapes.js"
import { assertAccessible, assertFits, screenshot, standardTests, visit, type PageTests } from "./harness.js"

const STATUS = "**/v1/status*"

type Device = Status["devices"][number]

/** Changes what the server says of its state. */
async function patchStatus(page: Page, patch: (status: Status) => Status): Promise<void> {
  await page.route(STATUS, async route => {
    const response = await route.fetch()
    await route.fulfill({ response, json: patch((await response.json()) as Status) })
  })
}

/**
 * Returns the devices of three zones with five machines each; the third one of each machine is offline in zone b, and
 * some are full.
 */
function manyDevices([like]: readonly Device[], count: number): Device[] {
  assert.ok(like)
  return Array.from({ length: count }, (_, at): Device => {
    const zone = "abc"[at % 3] ?? "a"
    const isOffline = zone === "b" && at % 45 === 1
    const state = isOffline ? "offline" : at % 50 === 7 ? "rebuilding" : at % 70 === 11 ? "full" : "active"
    return {
      ...like,
      id: at.toString(16).padStart(16, "0"),
      path: `/mnt/d${at}`,
      zone,
      machine: `m${Math.floor(at / 3) % 5}`,
      state,
      reason: isOffline ? "calls fail: EIO" : "",
      totalBytes: 1e13,
      usableBytes: 1e13 * ((at % 10) / 10),
    }
  })
}

export const safety: PageTests = {
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: "/console/safety",
      heading: "Safety",
      request: STATUS,
      picture: "safety",
      shows: "What may fail now",
    })

    pageTest(
      "it says what the server says: the sentence, an answer for any disk with its reason, every device",
      async () => {
        const page = await world.open("/console/safety")
        const { safety, devices } = (await world.server.report("/v1/status")) as Status
        // All folders of this test are on one file system.
        await page.getByText(safety.sentence).waitFor()
        const answer = page.getByRole("listitem").filter({ hasText: "Any disk" })
        assert.match(await answer.innerText(), /No\s+because there is only one/)
        await page.getByText("This store has no named machines or zones.").waitFor()
        for (const { path } of devices)
          await page.getByRole("link", { name: new RegExp(`^${path.split("/").at(-1)} active`) }).waitFor()
      },
    )

    pageTest("an answer that is not known is shown as unknown, and a critical disk is named", async () => {
      const page = await world.open("/console/safety", {
        before: opened =>
          patchStatus(opened, status => ({
            ...status,
            safety: {
              ...status.safety,
              safeLosses: 0,
              safeLossesWhenWhole: 2,
              critical: [status.devices[0]?.id ?? ""],
              mayFail: [
                {
                  what: "disk",
                  answer: "unknown",
                  count: 9,
                  losses: 0,
                  because: "shards are not scanned",
                  critical: [],
                },
                {
                  what: "zone",
                  answer: "later",
                  count: 3,
                  losses: 0,
                  because: "the loss of a would hurt",
                  critical: ["a"],
                },
              ],
            },
          })),
      })
      await page.getByText("At risk").waitFor()
      const answers = page.getByRole("listitem")
      assert.match(
        await answers.filter({ hasText: "Any disk" }).innerText(),
        /Unknown\s+because shards are not scanned/,
      )
      assert.match(await answers.filter({ hasText: "Any zone" }).innerText(), /Not now\s+any zone may fail once/)
      await page.getByRole("heading", { name: "Must not fail now" }).waitFor()
      await assertAccessible(page)
    })

    pageTest("what is at risk: how much, because of which device, what repairs it, and one thing to do", async () => {
      for (const isPhone of [false, true]) {
        const page = await world.open("/console/safety", {
          isPhone,
          before: opened =>
            patchStatus(opened, status => ({
              ...status,
              safety: {
                ...status.safety,
                atRisk: {
                  bytes: 3,
                  totalBytes: 9,
                  devices: [status.devices[0]?.id ?? ""],
                  what: "3 B of 9 B (33.3 %) of objects survive no further lost disk, but 1 once the store is complete",
                  because: "/mnt/disk1 is offline: calls fail: EIO",
                  repair:
                    "the store rebuilds the data on the other devices, beginning in at most 9 min unless it is back before",
                  action: "Look at the disk and its cable, then have it tried again",
                  command: "hayloft device check 00000000000000a1",
                },
              },
            })),
        })
        const section = page.locator("section").filter({ has: page.getByRole("heading", { name: "At risk" }) })
        await section.getByText("3 B of 9 B (33.3 %) of objects survive no further lost disk").waitFor()
        await section.getByText("/mnt/disk1 is offline: calls fail: EIO.").waitFor()
        await section.getByText("beginning in at most 9 min").waitFor()
        await section.getByText("hayloft device check 00000000000000a1").waitFor()
        await assertFits(page)
        await assertAccessible(page)
        await section.getByRole("link", { name: "disk1" }).click()
        await page.getByRole("heading", { level: 1, name: "Device disk1" }).waitFor()
      }
    })

    pageTest(
      "a device that went offline just now: its fault is first, and nothing that is unknown is said to be 0 or fine",
      async () => {
        const page = await world.open("/console/safety", {
          before: opened =>
            patchStatus(opened, status => ({
              ...status,
              safety: { ...status.safety, safeLosses: 0, safeLossesWhenWhole: 0, reasons: ["/mnt/a is offline"] },
              devices: status.devices.map((device, at) => {
                const { id, path, weight, metadataReplica } = device
                const known = { id, path, weight, metadataReplica, fileSystemKind: "", queues: [] }
                const gone = { state: "offline" as const, reason: "calls fail: EIO", totalBytes: 0, freeBytes: 0 }
                // The clock of the server is ahead of the browser's.
                return at === 0 ? { ...known, ...gone, sinceMs: Date.now() + 3_000 } : device
              }),
            })),
        })
        await page.getByText("Nothing is being rebuilt now.").waitFor()
        const fault = page.getByRole("listitem").filter({ hasText: "is offline: calls fail: EIO" })
        assert.match(await fault.innerText(), /, just now$/)
        await visit(page, "/console/overview")
        const first = page.locator(".attention").getByRole("listitem").first()
        await first.getByText("is offline: calls fail: EIO").waitFor()
        await visit(page, "/console/devices")
        const row = page.getByRole("row").filter({ hasText: "calls fail: EIO" })
        await row.waitFor()
        assert.doesNotMatch(await row.innerText(), /\b0 B\b/)
        await row.getByRole("link").click()
        const space = page.locator("section").filter({ has: page.getByRole("heading", { name: "Space" }) })
        await space.getByText("Full in").waitFor()
        assert.doesNotMatch(await space.innerText(), /\b0 B\b|not filling up/)
      },
    )

    pageTest(
      "of many objects that cannot be read the first are listed, and it is said how many there are",
      async () => {
        const lost = {
          lostBlocks: 40,
          lostBytes: 2 ** 20,
          lostObjects: [{ bucket: "b", key: "k", what: "part" as const }],
        }
        const page = await world.open("/console/safety", {
          before: opened =>
            patchStatus(opened, status => {
              const { repair } = status
              return repair === undefined
                ? status
                : { ...status, repair: { ...repair, ...lost, lostObjectsMin: 1_234 } }
            }),
        })
        await page.getByText("The first of at least 1,234;").waitFor()
        await page.getByRole("listitem").filter({ hasText: "b/k (a part of an upload)" }).waitFor()
      },
    )

    pageTest(
      "three hundred devices in zones and machines: counted in words, none is lost, and a phone shows it",
      async () => {
        for (const isPhone of [false, true]) {
          const page = await world.open("/console/safety", {
            isPhone,
            before: opened => patchStatus(opened, status => ({ ...status, devices: manyDevices(status.devices, 300) })),
          })
          await page.getByRole("heading", { name: "Zone b" }).waitFor()
          assert.equal(await page.locator(".tile").count(), 300)
          await page
            .getByText(/^20 devices: \d+ active, \d+ offline/)
            .first()
            .waitFor()
          await page.getByText("/mnt/d1 is offline: calls fail: EIO").waitFor()
          await assertFits(page)
          await assertAccessible(page)
          if (!isPhone) {
            await page.getByRole("heading", { name: "Zones, machines and disks" }).scrollIntoViewIfNeeded()
            await screenshot(page, "safety-map")
          }
        }
      },
    )
  },
}

const KNOWN = {
  devices: [],
  jobs: [],
  health: { ready: true, reasons: [] },
} as unknown as Status
const DEVICE = {
  id: "000000000000000a",
  path: "/mnt/a",
  state: "active",
  reason: "",
  totalBytes: 100,
  freeBytes: 50,
} as Device
const textsOf = (status: Partial<Status>): string =>
  problemsOf({ ...KNOWN, ...status })
    .map(({ kind, text }) => `${kind}: ${text}`)
    .join("; ")

test("problems are listed with their reasons, faults first, and a fault of health is not repeated for its device", () => {
  assert.equal(textsOf({}), "")
  assert.equal(
    textsOf({
      health: { ready: true, reasons: ["device 000000000000000a, last at /mnt/a, is offline: EIO"] },
      devices: [
        { ...DEVICE, freeBytes: 5 },
        { ...DEVICE, id: "000000000000000b", path: "/mnt/b" },
      ].map((each, at) =>
        at === 0 ? { ...each, state: "offline", reason: "EIO" } : { ...each, fullInSeconds: 86_400 },
      ),
    }),
    "danger: /mnt/a is offline: EIO; warning: /mnt/b will be full in about 1 d 0 h at the present rate: 50 B left",
  )
  assert.equal(textsOf({ devices: [{ ...DEVICE, freeBytes: 5 }] }), "warning: /mnt/a is nearly full: 5 B left")
  const onOneDisk = ["a", "b", "c"].map((name, at) => ({
    ...DEVICE,
    id: `000000000000000${name}`,
    path: `/mnt/${name}`,
    disk: "259:1",
    freeBytes: 5,
    fullInSeconds: 86_400 * (3 - at),
  }))
  assert.equal(
    textsOf({ devices: onOneDisk }),
    "warning: /mnt/c will be full in about 1 d 0 h at the present rate: 5 B left",
    "one line for each disk",
  )
  assert.equal(textsOf({ health: { ready: false, reasons: ["no metadata"] } }), "danger: no metadata")
  const silent = {
    name: "n3",
    machine: "n3",
    address: "10.0.0.3:9002",
    version: "0.1.0",
    state: "silent" as const,
    reason: "no heartbeat for 46 s",
    use: "in use" as const,
    devices: ["a", "b"],
    cannotReach: [],
    jobs: [],
  }
  assert.equal(
    textsOf({
      nodes: { own: "n1", steward: "n1", nodes: [silent], idleJobs: [], heldBack: [] },
      devices: ["a", "b"].map(id => ({ ...DEVICE, id, node: "n3", state: "missing" })),
    }),
    "danger: node n3 with 2 devices is silent: no heartbeat for 46 s",
    "one line for each node",
  )
})
