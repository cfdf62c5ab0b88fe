/**
 * Checks if some order explains a history of requests: no request comes before one that had ended when it began, and
 * each answer fits the state at its place (Herlihy and Wing, "Linearizability", 1990).
 */

/** The limit of configurations in a search: a history that needs more counts as wrong. */
const CONFIGURATIONS_MAX = 20_000

export interface Request<State> {
  readonly name: string
  readonly began: number
  readonly ended: number
  /** The state after the request; undefined if the answer does not fit the state. */
  readonly apply: (state: State) => State | undefined
}

/** Wing and Gong's search, which tries no configuration twice. */
export function isExplained<State>(history: readonly Request<State>[], start: State): boolean {
  const tried = new Set<string>()
  const search = (done: bigint, state: State): boolean => {
    const left = history.filter((_, place) => (done & (1n << BigInt(place))) === 0n)
    if (left.length === 0) return true
    const configuration = `${done} ${JSON.stringify(state)}`
    if (tried.has(configuration) || tried.size === CONFIGURATIONS_MAX) return false
    tried.add(configuration)
    const firstEnd = Math.min(...left.map(({ ended }) => ended))
    return history.some((request, place) => {
      const bit = 1n << BigInt(place)
      if ((done & bit) !== 0n || request.began > firstEnd) return false
      const after = request.apply(state)
      return after !== undefined && search(done | bit, after)
    })
  }
  return search(0n, start)
}
