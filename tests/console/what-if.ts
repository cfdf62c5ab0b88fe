/** The page "What if": the present layout, a described one, policies that cannot be, and charts with their values. */
import assert from "node:assert/strict"
import { assertAccessible, standardTests, type PageTests } from "./harness.js"

export const whatIf: PageTests = {
  define(world, pageTest) {
    standardTests(world, pageTest, {
      address: "/console/what-if",
      heading: "What if",
      request: "**/v1/simulations*",
      shows: "No software error, operator error",
      picture: "what-if",
    })

    pageTest(
      "What if: a described layout is compared as asked, with charts that read without the picture",
      async () => {
        const page = await world.open("/console/what-if")
        // The folders of the test are on one disk, and fail together.
        await page.getByText("This store has too few disks to compare anything").waitFor()
        await page.getByText("6 devices in 1 machine, no zones named").waitFor()
        await page.getByRole("button", { name: "4 machines with 6 disks" }).click()
        await page.getByText("24 devices in 4 machines, no zones named").waitFor()
        await page.getByLabel("Layout", { exact: true }).selectOption({ label: "The present one" })
        await page.getByRole("button", { name: "Compare" }).click()
        await page.getByText("needs 3 devices; the layout has 1").first().waitFor()
        await page.getByLabel("Layout", { exact: true }).selectOption({ label: "A described one" })
        await page.getByLabel("Zones").fill("3")
        await page.getByLabel("Machines in a zone").fill("4")
        await page.getByLabel("Devices in a machine").fill("5")
        await page.getByLabel("Policies to compare").fill("ec:4+2, minio ec:40+2")
        await page.getByRole("button", { name: "Compare" }).click()
        await page.getByText("60 devices in 12 machines, 3 zones").waitFor()
        const durability = page.getByRole("table", { name: "Durability" })
        assert.equal(await durability.getByRole("row").count(), 3)
        await durability.getByRole("cell", { name: "a zone, then devices" }).waitFor()
        await durability.getByRole("cell", { name: "minio:11+4" }).waitFor()
        await page.getByText("redundancy out of range: ec:40+2").waitFor()
        await page.getByText("No software error, operator error").waitFor()
        const chart = page.getByRole("img", { name: "Space" })
        assert.match(await chart.locator("desc").innerHTML(), /ec:4\+2 1\.5, minio:11\+4 1\.36/)
        await assertAccessible(page)
      },
    )

    pageTest(
      "What if: text in place of a number is named, and a value out of range in the server's words",
      async () => {
        const page = await world.open("/console/what-if")
        await page.getByText("No software error").waitFor()
        await page.getByText("Assumptions").click()
        await page.getByLabel("Fill of the devices, %").fill("much")
        await page.getByRole("button", { name: "Compare" }).click()
        await page.getByText("Not a number: Fill of the devices, %").waitFor()
        await page.getByLabel("Fill of the devices, %").fill("900")
        await page.getByRole("button", { name: "Compare" }).click()
        await page.getByText(/assumptions\.fill: /).waitFor()
        await page.getByLabel("Fill of the devices, %").fill("50")
        await page.getByRole("button", { name: "Compare" }).click()
        await page.getByText(/assumptions\.fill: /).waitFor({ state: "hidden" })
      },
    )
  },
}
