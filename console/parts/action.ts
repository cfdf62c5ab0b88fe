/**
 * An action of a button or a form: it runs once at a time, tells whether it runs, and why it failed. Leaving the page
 * does not end it, since it may change something.
 */
import { useSignal, type ReadonlySignal } from "@preact/signals"
import { asApiError } from "../api/client.js"

export interface Action {
  readonly isBusy: boolean
  readonly problem: ReadonlySignal<string | undefined>
  /** Resolves with whether it succeeded. */
  run(): Promise<boolean>
}

export function useAction(work: () => Promise<void>): Action {
  const isBusy = useSignal(false)
  const problem = useSignal<string | undefined>(undefined)
  const run = async (): Promise<boolean> => {
    if (isBusy.value) return false
    isBusy.value = true
    problem.value = undefined
    try {
      await work()
      return true
    } catch (error) {
      problem.value = asApiError(error).message
      return false
    } finally {
      isBusy.value = false
    }
  }
  return { isBusy: isBusy.value, problem, run }
}
