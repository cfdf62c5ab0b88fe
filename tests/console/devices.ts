/** The page on devices and layout: changes on a real store, as plan, preview and confirmation. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import type { Page } from "playwright-core"
import { MIB } from "@hayloft/base/limits.js"
import type { Change, Device, LayoutDetails, Nodes, Status } from "../../console/api/shapes.js"
import {
  assertAccessible,
  assertFits,
  assertWholeTables,
  screenshot,
  standardTests,
  visit,
  type PageTests,
} from "./harness.js"

const STATUS = "**/v1/status*"

export const devices: PageTests = {
  define(world, pageTest) {
    const devices = async (): Promise<readonly Device[]> =>
      ((await world.server.report("/v1/status")) as Status).devices

    /** Waits until shards are where the layout places them: only one change of the layout is made at a time. */
    const settled = async (): Promise<void> => {
      const isSettled = async (): Promise<boolean> =>
        ((await world.server.report("/v1/status")) as Status).layout.transition === undefined
      await until("shards are where the layout places them", isSettled, 100)
    }

    /** On the system disk, which a plan warns of. */
    const parent = mkdtempSync(join(tmpdir(), "hayloft-added-"))
    after(() => rmSync(parent, { recursive: true, force: true }))

    const dialogOf = (page: Page, name: string) => page.getByRole("dialog", { name })

    /** Confirms a plan, by the words that it asks for if it does. */
    const confirm = async (page: Page, title: string): Promise<void> => {
      const dialog = dialogOf(page, title)
      await dialog.getByText("Survives", { exact: true }).waitFor()
      const tick = dialog.getByLabel("I have read the warnings above")
      if ((await tick.count()) > 0) {
        assert.ok(await dialog.getByRole("button", { name: title, exact: true }).isDisabled())
        await tick.check()
      }
      const field = dialog.getByLabel(/^Type .* to confirm$/)
      if ((await field.count()) > 0) {
        const button = dialog.getByRole("button", { name: title, exact: true })
        assert.ok(await button.isDisabled(), "nothing is done before the words are typed")
        const label = await dialog.locator("label").filter({ hasText: /^Type/ }).innerText()
        const [, words = ""] = /^Type (.*) to confirm$/.exec(label) ?? []
        await field.fill(words)
      }
      await dialog.getByRole("button", { name: title, exact: true }).click()
      await dialog.waitFor({ state: "detached" })
      await page.getByRole("log").getByText(`${title}: started`).waitFor()
    }

    standardTests(world, pageTest, {
      address: "/console/devices",
      heading: "Devices and layout",
      request: STATUS,
      picture: "devices",
      shows: "disk1",
    })

    pageTest("every tab and a device have an address, are accessible and fit a phone", async () => {
      const [device] = await devices()
      assert.ok(device)
      const page = await world.open("/console/devices", { isPhone: true })
      for (const [address, text] of [
        ["/console/devices?tab=layout", "Devices that share each piece of data"],
        ["/console/devices?tab=nodes", "This store runs on one machine"],
        ["/console/devices?tab=redundancy", "Buckets and storage classes with their own"],
        [`/console/devices/${device.id}`, "File system"],
        ["/console/devices/none", "The store has no device with this id"],
      ] as const) {
        await visit(page, address)
        await page.getByText(text).first().waitFor()
        await assertFits(page)
        await assertAccessible(page)
      }
    })

    pageTest("a device shows what its disk does now and its health, and nothing of what is not known", async () => {
      const [device, other] = await devices()
      assert.ok(device !== undefined && other !== undefined)
      const io = { reads: 100, readBytes: 0, readMs: 50, writes: 10, writtenBytes: 0, writeMs: 5, inFlight: 3 }
      const health = { model: "WDC WD80", serial: "VK0", isHealthy: false, celsius: 61, powerOnHours: 48 }
      let look = 0
      const page = await world.open("/console/devices/none", { isOwnDocument: true })
      await page.route("**/v1/devices/disks", route => {
        const later = { ...io, reads: 100 + 20 * look, readBytes: 2 * MIB * look, readMs: 50 + 40 * look }
        const disk = { device: device.id, failedCalls: 2, name: "sdb1", atMs: 1_000 * look, io: later, health }
        look += 1
        return route.fulfill({ json: { disks: [disk] } })
      })
      await visit(page, `/console/devices/${device.id}`)
      await page.getByText("20/s, 2.0 MiB/s").waitFor()
      await page.getByText("2.0 ms").waitFor()
      await page.getByText("failing, 61 °C").waitFor()
      await page.getByText("WDC WD80").waitFor()
      await page.getByText("2 of this store since the device was opened").waitFor()
      await assertAccessible(page)
      await visit(page, "/console/devices")
      const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: "disk1" }) })
      await row.getByText("failing, 61 °C").waitFor()
      await row.getByText("reads 2.0 MiB/s, writes 0 B/s, 2.0 ms each").waitFor()
      for (const width of [820, 1440]) {
        await page.setViewportSize({ width, height: 900 })
        await assertFits(page)
        await assertWholeTables(page)
      }
      await visit(page, `/console/devices/${other.id}`)
      await page.getByText("File system").waitFor()
      assert.equal(await page.getByRole("heading", { name: "Disk", exact: true }).count(), 0)
    })

    pageTest("the column of disks is hidden if no disk is known, and re-encoding says what it does", async () => {
      const known = await devices()
      const page = await world.open("/console/devices/none", { isOwnDocument: true })
      await page.route("**/v1/devices/disks", route =>
        route.fulfill({ json: { disks: known.map(({ id }) => ({ device: id, atMs: 1, failedCalls: 0 })) } }),
      )
      await page.route(STATUS, async route => {
        const response = await route.fetch()
        const reencoding = { doneBytes: MIB, remainingBytes: MIB, bytesPerSecond: 0 }
        await route.fulfill({ response, json: { ...((await response.json()) as Status), reencoding } })
      })
      const answered = page.waitForResponse("**/v1/devices/disks")
      await visit(page, "/console/devices")
      await answered
      await page.getByText("Stored objects are re-encoded to their new redundancy.").waitFor()
      await page.getByRole("progressbar", { name: "Blocks re-encoded" }).waitFor()
      await page.getByRole("table", { name: "Devices" }).getByRole("row").nth(1).waitFor()
      assert.equal(await page.getByRole("columnheader", { name: "Disk now" }).count(), 0)
    })

    pageTest(
      "the disks of other nodes are shown, and a node that does not answer is named with the reason",
      async () => {
        const [device, other] = await devices()
        assert.ok(device !== undefined && other !== undefined)
        const page = await world.open("/console/devices/none", { isOwnDocument: true })
        await page.route(STATUS, async route => {
          const response = await route.fetch()
          const status = (await response.json()) as Status
          const nodeOf = (id: string): string => (id === device.id ? "n2" : "n3")
          const devices = status.devices.map(each => ({ ...each, node: nodeOf(each.id) }))
          await route.fulfill({ response, json: { ...status, devices } })
        })
        const disks = [{ device: device.id, atMs: 1, failedCalls: 7 }]
        await page.route("**/v1/devices/disks", route =>
          route.fulfill({ json: { disks, unshown: [{ node: "n3", reason: "it does not run" }] } }),
        )
        await visit(page, "/console/devices")
        const row = page.getByRole("row").filter({ hasText: "n2:" })
        await row.getByText("7 failed calls").waitFor()
        const missing = page.getByText("The disks of node n3 are not shown: it does not run")
        await missing.waitFor()
        await assertAccessible(page)
        await visit(page, `/console/devices/${other.id}`)
        await missing.waitFor()
        await visit(page, `/console/devices/${device.id}`)
        await page.getByText("7 of this store since the device was opened").waitFor()
        assert.equal(await missing.count(), 0, "the node of this device has answered")
      },
    )

    pageTest("a folder whose parent does not exist is refused in words, and nothing is changed", async () => {
      const before = await devices()
      const page = await world.open("/console/devices")
      await page.getByRole("button", { name: "Add device" }).click()
      const form = dialogOf(page, "New device")
      await form.getByLabel("Folder").fill("relative")
      await form.getByText("The path begins with a slash.").waitFor()
      await form.getByLabel("Folder").fill("/none/of/this/exists")
      await form.getByRole("button", { name: "Show the plan" }).click()
      await page.getByRole("alert").filter({ hasText: "/none/of/this" }).waitFor()
      await assertAccessible(page)
      await page.getByRole("button", { name: "Cancel" }).last().click()
      assert.equal(await form.getByLabel("Folder").inputValue(), "/none/of/this/exists", "it can be corrected")
      await form.getByLabel("Folder").fill(join(parent, "disk9"))
      await form.getByRole("button", { name: "Show the plan" }).click()
      await page.getByText("Survives", { exact: true }).waitFor()
      await page.getByRole("button", { name: "Cancel" }).last().click()
      await form.getByRole("button", { name: "Cancel" }).click()
      await form.waitFor({ state: "detached" })
      assert.equal((await devices()).length, before.length)
    })

    pageTest("a device is added, weighed, drained and used again, each by a plan that is confirmed", async () => {
      const page = await world.open("/console/devices")
      await page.getByRole("button", { name: "Add device" }).click()
      await dialogOf(page, "New device").getByLabel("Folder").fill(join(parent, "disk4"))
      await page.keyboard.press("Enter")
      const plan = dialogOf(page, "Add device")
      await plan.getByText("Survives", { exact: true }).waitFor()
      await assertAccessible(page)
      await screenshot(page, "devices-plan")
      await confirm(page, "Add device")
      await page.getByRole("link", { name: /disk4/ }).click()
      await page.getByRole("heading", { level: 1, name: /disk4/ }).waitFor()
      await settled()
      await page.getByRole("button", { name: "Set weight" }).click()
      await dialogOf(page, "Set weight").getByRole("spinbutton").fill("2")
      await page.keyboard.press("Enter")
      await confirm(page, "Set weight")
      await settled()
      await page.getByRole("button", { name: "Drain" }).click()
      await confirm(page, "Drain device")
      await settled()
      await page.getByRole("button", { name: "Use again" }).click()
      await confirm(page, "Use device again")
      const added = (await devices()).find(({ path }) => path.endsWith("disk4"))
      assert.deepEqual([added?.weight], [2])
      await page.getByRole("button", { name: "Check now" }).click()
      await page
        .getByRole("log")
        .getByText(/The device is /)
        .waitFor()
    })

    pageTest("a tablet shows the whole table of the layout, also with zones and machines", async () => {
      const page = await world.open("/console/devices?tab=layout", {
        before: async opened => {
          await opened.route("**/v1/layout", async route => {
            const response = await route.fetch()
            const layout = (await response.json()) as LayoutDetails
            const devices = layout.devices.map(each => ({ ...each, zone: "north", machine: "machine-1" }))
            await route.fulfill({ response, json: { ...layout, devices } })
          })
        },
      })
      await page.setViewportSize({ width: 820, height: 1180 })
      await page.getByText("north / machine-1").first().waitFor()
      await assertWholeTables(page)
    })

    pageTest("several weights are staged and planned as one change", async () => {
      const page = await world.open("/console/devices?tab=layout")
      const requests: string[] = []
      page.on("request", request => request.method() === "POST" && requests.push(request.postData() ?? ""))
      await page.getByLabel(/New weight of .*disk1/).fill("3")
      await page.getByLabel(/New weight of .*disk2/).fill("0")
      await page.getByText("A weight is a number above 0.").waitFor()
      await page.getByLabel(/New weight of .*disk2/).fill("4")
      await page.getByRole("button", { name: "Show the plan of 2 changes" }).click()
      await dialogOf(page, "Make 2 changes").getByText("Survives", { exact: true }).waitFor()
      await page.keyboard.press("Escape")
      await dialogOf(page, "Make 2 changes").waitFor({ state: "detached" })
      assert.equal(requests.length, 1)
      const [sent] = requests.map(text => JSON.parse(text) as { dryRun: boolean; changes: { weight: number }[] })
      assert.equal(sent?.dryRun, true)
      assert.deepEqual(sent.changes.map(({ weight }) => weight).toSorted(), [3, 4])
    })

    pageTest(
      "a plan that is outdated when it is confirmed is replaced by the present one, which is read first",
      async () => {
        const page = await world.open("/console/devices?tab=layout")
        const requests: { dryRun?: boolean; outlook?: string }[] = []
        await page.route("**/v1/layout", async route => {
          if (route.request().method() !== "POST") return route.fallback()
          const sent = JSON.parse(route.request().postData() ?? "") as { dryRun?: boolean; outlook?: string }
          requests.push(sent)
          const error = { code: "planOutdated", message: "the change was not made: after it 0 disks may fail" }
          if (sent.dryRun !== true) return route.fulfill({ status: 409, json: { error } })
          const response = await route.fetch()
          const { plan, ...others } = (await response.json()) as Change
          const outlook = `disks=${requests.length}`
          return route.fulfill({
            response,
            json: { ...others, plan: { ...plan, warnings: ["mind the gap"], outlook } },
          })
        })
        await page.getByLabel(/New weight of .*disk1/).fill("2")
        await page.getByLabel(/New weight of .*disk2/).fill("3")
        await page.getByRole("button", { name: "Show the plan of 2 changes" }).click()
        const dialog = dialogOf(page, "Make 2 changes")
        const tick = dialog.getByLabel("I have read the warnings above")
        const make = dialog.getByRole("button", { name: "Make 2 changes", exact: true })
        await tick.check()
        await make.click()
        await dialog.getByText("the change was not made: after it 0 disks may fail").waitFor()
        await tick.waitFor()
        assert.deepEqual([await tick.isChecked(), await make.isDisabled()], [false, true])
        assert.deepEqual(
          requests.map(({ dryRun, outlook }) => [dryRun, outlook]),
          [
            [true, undefined],
            [undefined, "disks=1"],
            [true, undefined],
          ],
        )
        await page.keyboard.press("Escape")
        await dialog.waitFor({ state: "detached" })
      },
    )

    pageTest("a change of redundancy is planned for the store, and a plan that fails can be retried", async () => {
      const page = await world.open("/console/devices?tab=redundancy")
      await page.getByRole("textbox", { name: "Redundancy" }).fill("nonsense")
      await page.getByText("Such as ec:4+2, replica:2 or automatic.").waitFor()
      await page.getByRole("textbox", { name: "Redundancy" }).fill("replica:2")
      await page.route("**/v1/redundancy", route => route.abort())
      await page.getByRole("button", { name: "Show the plan" }).click()
      await page.getByText("the server cannot be reached").waitFor()
      await page.unroute("**/v1/redundancy")
      await page.getByRole("button", { name: "Retry" }).click()
      await dialogOf(page, "Change redundancy").getByText("Survives", { exact: true }).waitFor()
    })

    pageTest(
      "nodes: states, what they cannot reach and what waits for a decision; a lost one can be forgotten",
      async () => {
        const node: Nodes["nodes"][number] = {
          name: "n1",
          zone: "a",
          machine: "m1",
          address: "10.0.0.1:9002",
          version: "0.1.0",
          state: "serving",
          reason: "",
          use: "in use",
          devices: ["01"],
          cannotReach: [],
          jobs: ["repair"],
        }
        const nodes: Nodes = {
          own: "n1",
          steward: "n1",
          idleJobs: [],
          heldBack: ["n2 is silent: forget it, or wait"],
          nodes: [node, { ...node, name: "n2", state: "silent", reason: "no heartbeat for 40 s", jobs: [] }],
        }
        const page = await world.open("/console/devices?tab=nodes", {
          before: async opened => {
            await opened.route(STATUS, async route => {
              const response = await route.fetch()
              await route.fulfill({ response, json: { ...((await response.json()) as Status), nodes } })
            })
          },
        })
        await page.getByText("n2 is silent: forget it, or wait").waitFor()
        await page.getByText("no heartbeat for 40 s").waitFor()
        await assertAccessible(page)
        assert.equal(await page.getByRole("button", { name: "Forget n1" }).count(), 0)
        await page.getByRole("button", { name: "Forget n2" }).click()
        await dialogOf(page, "Forget node n2").getByRole("button", { name: "Show the plan" }).click()
        // This server has no nodes: it says so in the dialog.
        await dialogOf(page, "Forget node").getByRole("alert").first().waitFor()
      },
    )
  },
}
