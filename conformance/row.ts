/**
 * A row of the conformance table: one question to a server, one expected answer.
 */
import type { Scene } from "./scene.js"

/** Features that an endpoint may lack; rows that need it are counted apart when it is missing. */
export type Need = "otherAccount"

export interface Row {
  /** `line.number`: the line of the list of behaviours, and a number of its own. */
  readonly id: string
  readonly title: string
  readonly needs?: Need
  readonly run: (scene: Scene) => Promise<void>
}

export const row = (id: string, title: string, run: (scene: Scene) => Promise<void>): Row => ({ id, title, run })
export const rowWithOther = (id: string, title: string, run: (scene: Scene) => Promise<void>): Row => ({
  id,
  title,
  run,
  needs: "otherAccount",
})

/** The line of the list of behaviours that the row holds the server to. */
export const lineOf = ({ id }: Row): number => Number(id.split(".")[0])
