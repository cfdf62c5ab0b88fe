/**
 * Drives: the disks of a simulated machine. A drive can be taken out, put back, and be faulty. A folder like `/d3`
 * is a bay: it contains the files of its drive.
 *
 * Promises  A power cut or a kill hits all drives together. An open file stays on the drive on which it was opened.
 */
import { assert, must } from "@hayloft/base/assert.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import {
  inTurn,
  Medium,
  ROT_KINDS,
  rotOnce,
  FaultyDevice,
  SimDisk,
  WrappedDisk,
  type Intercept,
} from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { normalizedPath } from "@hayloft/base/seams/disk/medium.js"

/** Volumes and segments begin with a page that identifies them. */
const ROT_FROM_BYTES = 4096

/** One drive: its medium outlives processes, bays and faults. */
export class Drive {
  /** The bay into which the drive was last put: its files are stored there. */
  private bay: string | undefined
  readonly disk: SimDisk
  readonly faulty: FaultyDevice
  private world: Intercept = () => undefined

  constructor(
    readonly name: string,
    readonly clock: Clock,
    random: Random,
    medium = new Medium(),
  ) {
    this.disk = new SimDisk(medium, { fileSystemId: name })
    this.faulty = new FaultyDevice(clock, random.fork(`drive ${name}`))
    this.disk.intercept(this.intercept)
  }

  /** Returns a copy of this drive with its current content. */
  image(name: string, clock: Clock, random: Random): Drive {
    const image = new Drive(name, clock, random, this.disk.medium.copy())
    image.bay = this.bay
    return image
  }

  /** Moves the drive to this bay. No process may be using it. */
  mountAt(bay: string): void {
    const { medium } = this.disk
    if (this.bay !== undefined && this.bay !== bay) medium.move(this.bay, bay)
    this.bay = bay
    medium.addFolder(bay)
  }

  /** The faults of each call: first those of all drives, then those of this drive's state. */
  get intercept(): Intercept {
    return inTurn(call => this.world(call), this.faulty.intercept)
  }

  meet(world: Intercept): void {
    this.world = world
  }

  /** Leaves this many bytes free; 0 is allowed. */
  fill(spaceBytes: number): void {
    this.disk.capacityBytes = this.disk.medium.usedBytes + spaceBytes
  }

  empty(): void {
    this.disk.capacityBytes = 2 ** 40
  }

  /** Damages one place in the stored files below the folder; returns a description of the damage and its place. */
  rot(folder: string, random: Random, fromBytes = ROT_FROM_BYTES): string | undefined {
    const { medium } = this.disk
    const paths = medium.namesIn(folder).map(name => `${folder}/${name}`)
    const path = paths[random.below(Math.max(1, paths.length))]
    const file = path === undefined ? undefined : medium.fileAt(path)
    if (path === undefined || file === undefined || file.synced.length <= fromBytes) return undefined
    const kind = must(ROT_KINDS[random.below(ROT_KINDS.length)], "the list of kinds is not empty")
    const whole = file.synced.slice()
    const damaged = whole.slice()
    const what = rotOnce(damaged, kind, random, undefined, fromBytes, damaged.length)
    // Bytes that are not on the platter yet cannot rot.
    medium.alter(path, content => {
      for (let at = fromBytes; at < damaged.length && at < content.length; at += 1) {
        if (damaged[at] !== whole[at]) content[at] = damaged[at] ?? 0
      }
    })
    return what && `${path}: ${what}`
  }
}

/** The bay of a path, "/d3" of "/d3/log/x"; "/" of "/d3/..". */
const bayOf = (path: string): string => `/${normalizedPath(path).split("/")[1] ?? ""}`

export class Bays {
  private readonly drives = new Map<string, Drive>()

  /** `root`: an empty bay is an empty folder on the machine's own disk. */
  constructor(readonly root: Drive) {}

  /** The drives in bays. */
  get all(): readonly Drive[] {
    return [...this.drives.values()]
  }

  /** The drive in a bay; undefined if the bay is empty. */
  at(bay: string): Drive | undefined {
    return this.drives.get(bay)
  }

  put(bay: string, drive: Drive): void {
    assert(!this.drives.has(bay), `bay ${bay} already has a drive`)
    this.drives.set(bay, drive)
    this.root.disk.medium.addFolder(bay)
    drive.mountAt(bay)
  }

  /** Takes the drive out. The drive's own state must fail calls on its open files. */
  take(bay: string): Drive {
    const drive = must(this.drives.get(bay), `a drive is in ${bay}`)
    this.drives.delete(bay)
    return drive
  }

  /** The drive on which a path is stored. */
  driveOf(path: string): Drive {
    return this.drives.get(bayOf(path)) ?? this.root
  }

  /** The files of all bays for a process that runs until `isOver`. */
  boot(isOver: () => boolean): Disk {
    return new BayDisk(this, isOver)
  }
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined)

/** Passes each call to the drive that is in the bay at that moment. */
class BayDisk extends WrappedDisk {
  /** The files of each drive, for this process. */
  private readonly booted = new Map<Drive, Disk>()

  constructor(
    private readonly bays: Bays,
    private readonly isOver: () => boolean,
  ) {
    super(bays.root.disk.boot())
  }

  protected override async around<T>(_call: keyof Disk, path: string, run: (on: Disk) => Promise<T>): Promise<T> {
    if (this.isOver()) return never()
    const drive = this.bays.driveOf(path)
    const disk = this.booted.get(drive) ?? drive.disk.boot()
    this.booted.set(drive, disk)
    return run(disk)
  }
}
