/** Byte budget: how many bytes background work may hold in memory at once. First come, first served. */
export class ByteBudget {
  private used = 0
  private readonly waiting: { readonly bytes: number; readonly grant: () => void }[] = []

  constructor(private readonly bytesMax: number) {}

  /** Runs the work once its bytes are free. Work that needs more than there is runs alone. */
  async run<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (this.waiting.length > 0 || !this.fits(bytes)) {
      await new Promise<void>(grant => this.waiting.push({ bytes, grant }))
    } else this.used += bytes
    try {
      return await work()
    } finally {
      this.used -= bytes
      for (let next = this.waiting[0]; next && this.fits(next.bytes); next = this.waiting[0]) {
        this.waiting.shift()
        this.used += next.bytes
        next.grant()
      }
    }
  }

  private fits(bytes: number): boolean {
    return this.used === 0 || this.used + bytes <= this.bytesMax
  }
}
