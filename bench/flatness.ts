/**
 * Decides if an operation costs the same among many keys as among few: compares its figure with that among the fewest.
 * Pure.
 */
import { atLeast, median, type Bound } from "./row.js"

/** The bound for flatness; rounds of the same operation differ by a tenth and more. */
export const FLAT: Bound = atLeast("ofFewest", 0.8)

export class Flatness {
  private readonly works = new Map<string, { readonly keys: number; readonly figures: number[] }>()

  /** The figure as a share of the median among the fewest keys, which are measured first. */
  of(work: string, keys: number, figure: number): number {
    const fewest = this.works.get(work) ?? { keys, figures: [] }
    this.works.set(work, fewest)
    if (keys === fewest.keys) {
      fewest.figures.push(figure)
      return 1
    }
    return figure / median(fewest.figures)
  }
}
