/**
 * Starts of a store: which processes have had it open, as its control records note them. They tell a device that was away
 * from a device of a copy of the store that has run by itself. Pure.
 *
 * 1. A process notes its start in the record with which it begins, and writes no other record before more than half of the
 *    voting devices have this one. So every later start of the store finds it on one of them, and keeps the note.
 * 2. The next record, before the store opens, says that the start has opened the store.
 * So a start that has opened the store is in every newer record of it. One that is missing there was a start of a copy, or of
 * the store from which the newer record was copied: each side has changes that the other lacks, and neither is the right
 * one. The same is true of devices that went on without others, and that an operator began to give up there.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { STARTS_MAX, type ControlRecord, type StoreStart } from "../../format/device/control-record.js"

type Starts = Pick<ControlRecord, "starts">

/** The record with which a process begins. */
export const withStart = <R extends Starts>(record: R, start: Omit<StoreStart, "hasOpened">): R => ({
  ...record,
  starts: [...(record.starts ?? []), { ...start, hasOpened: false }].slice(-STARTS_MAX),
})

/** The record once more than half of the voting devices have noted the last start. */
export const withOpened = <R extends Starts>(record: R): R => ({
  ...record,
  starts: record.starts?.map((start, at, all) => (at === all.length - 1 ? { ...start, hasOpened: true } : start)),
})

export const lastOpened = (starts: readonly StoreStart[] | undefined): StoreStart | undefined =>
  starts?.findLast(({ hasOpened }) => hasOpened)

/** Returns true if the record is of a store that went on apart from the one of the newest record. */
export function isApart({ starts = [] }: Starts, { starts: known = [] }: Starts): boolean {
  const last = lastOpened(starts)
  if (last === undefined || known.some(({ id }) => id === last.id)) return false
  // The newest record may have forgotten an earlier start, for a device that was away for long.
  const [earliest] = known
  return known.length < STARTS_MAX || earliest === undefined || earliest.incarnation <= last.incarnation
}

/** The refusal of data folders that were written apart from each other. */
export const writtenApart = (one: readonly string[], other: readonly string[]): Failure =>
  fail("foreignFolder", {
    message: `${one.join(", ")} and ${other.join(", ")} were written apart from each other: on one side are copies of data folders that ran by themselves, or devices that were given up and had gone on, and neither side has everything. Start with the folders of one side, and keep the others as they are`,
  })
