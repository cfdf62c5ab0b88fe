/** Byte budget: how many bytes background work may hold in memory concurrently. First come, first served. */

/** Limits work under way, in any units. */
export interface Budget {
  /** Runs the work once so many units are free, and gives them back when it has ended. */
  run<T>(units: number, work: () => Promise<T>): Promise<T>
}

export class ByteBudget implements Budget {
  private used = 0
  private readonly waiting: { readonly bytes: number; readonly grant: () => void }[] = []

  /** `bytesMax` may change; bytes already granted stay granted. */
  constructor(private readonly bytesMax: () => number) {}

  /**
   * Runs the work once its bytes are free. Work that needs more than the whole budget runs alone. The work may give
   * back some bytes before it ends.
   */
  async run<T>(bytes: number, work: (giveBack: (bytes: number) => void) => Promise<T>): Promise<T> {
    if (this.waiting.length > 0 || !this.fits(bytes)) {
      await new Promise<void>(grant => this.waiting.push({ bytes, grant }))
    } else this.used += bytes
    let held = bytes
    const giveBack = (some: number): void => {
      const freed = Math.min(some, held)
      held -= freed
      this.free(freed)
    }
    try {
      return await work(giveBack)
    } finally {
      giveBack(held)
    }
  }

  private free(bytes: number): void {
    this.used -= bytes
    for (let next = this.waiting[0]; next && this.fits(next.bytes); next = this.waiting[0]) {
      this.waiting.shift()
      this.used += next.bytes
      next.grant()
    }
  }

  private fits(bytes: number): boolean {
    return this.used === 0 || this.used + bytes <= this.bytesMax()
  }
}
