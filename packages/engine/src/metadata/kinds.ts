/**
 * The commands and the queries of this program, by their names: a thread that receives a name and arguments makes the
 * same one.
 *
 * Promises  A name that two kinds have makes neither, so that no thread runs another function than its caller meant.
 */
import { AssertionError } from "@hayloft/base/assert.js"

type Arguments = readonly unknown[]

/** All threads run the same program: what one has made of typed arguments, another one can make of them. */
const parseMaker = <Args extends Arguments, Made>(make: (...args: Args) => Made) =>
  make as unknown as (...args: Arguments) => Made

export class Kinds<Made> {
  /** A name that several kinds have is kept without a maker. */
  private readonly makers = new Map<string, ((...args: Arguments) => Made) | undefined>()

  constructor(private readonly title: string) {}

  add<Args extends Arguments>(name: string, make: (...args: Args) => Made): void {
    this.makers.set(name, this.makers.has(name) ? undefined : parseMaker(make))
  }

  make(name: string, args: Arguments): Made {
    const make = this.makers.get(name)
    if (make !== undefined) return make(...args)
    const found = this.makers.has(name) ? "several kinds have" : "no kind has"
    throw new AssertionError(`${found} the name of this ${this.title}: ${name}`)
  }

  /** Names that several kinds have. */
  get ambiguous(): readonly string[] {
    return [...this.makers].flatMap(([name, make]) => (make === undefined ? [name] : []))
  }
}
