/** Tests of the facts about disks, on texts of Linux and of smartctl. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { healthOf, ioOf, nameIn, sysFolderOf } from "./disk-facts-core.js"

test("the counters of a block device are read from its line, and no other text is taken for one", () => {
  const line = "  156458    16662  9963282    71133   516432   374655 88970760   493450        2   144332   679131\n"
  assert.deepEqual(ioOf(line), {
    reads: 156_458,
    readBytes: 9_963_282 * 512,
    readMs: 71_133,
    writes: 516_432,
    writtenBytes: 88_970_760 * 512,
    writeMs: 493_450,
    inFlight: 2,
  })
  for (const text of ["", "1 2 3", "no numbers at all in this one , at least nine"]) assert.equal(ioOf(text), undefined)
})

test("the number of a file system leads to the files of its block device", () => {
  assert.equal(sysFolderOf("65024"), "/sys/dev/block/254:0")
  assert.equal(sysFolderOf("2065"), "/sys/dev/block/8:17")
  assert.equal(sysFolderOf("66304"), "/sys/dev/block/259:0")
  assert.equal(nameIn("MAJOR=8\nMINOR=17\nDEVNAME=sdb1\nDEVTYPE=partition\n"), "sdb1")
  assert.equal(nameIn("MAJOR=8\nDEVNAME=../etc/passwd\n"), undefined)
})

test("health is what smartctl tells of ATA and NVMe disks; a refusal tells nothing", () => {
  const ata = {
    smartctl: { exit_status: 4 },
    model_name: "WDC WD80EFZX",
    serial_number: "VK0",
    smart_status: { passed: true },
    ata_smart_attributes: { table: [{ id: 5, name: "Reallocated_Sector_Ct", raw: { value: 3, string: "3" } }] },
    power_on_time: { hours: 20_011 },
    temperature: { current: 34 },
  }
  assert.deepEqual(healthOf(JSON.stringify(ata)), {
    model: "WDC WD80EFZX",
    serial: "VK0",
    isHealthy: true,
    celsius: 34,
    powerOnHours: 20_011,
    reallocatedSectors: 3,
  })
  const nvme = { smart_status: { passed: false }, nvme_smart_health_information_log: { percentage_used: 97 } }
  assert.deepEqual(healthOf(JSON.stringify(nvme)), { isHealthy: false, wearPercent: 97 })
  const refused = { smartctl: { exit_status: 2, messages: [{ string: "Permission denied", severity: "error" }] } }
  for (const text of ["", "no JSON", JSON.stringify(refused)]) assert.equal(healthOf(text), undefined)
})
