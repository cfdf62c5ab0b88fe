/**
 * Dialogs over the browser's own `<dialog>`: it keeps the focus inside, closes on Escape, and gives the focus back. One
 * that is closed is not in the page.
 */
import type { ComponentChildren } from "preact"
import { useId, useLayoutEffect, useRef } from "preact/hooks"
import { useAction } from "./action.js"
import { Button, IconButton, type ButtonProps } from "./button.js"
import { Form } from "./fields.js"

export interface DialogProps {
  readonly title: string
  readonly onClose: () => void
  readonly children: ComponentChildren
  /** Buttons at its end, after the content. */
  readonly footer?: ComponentChildren
  readonly isWide?: boolean
}

/** Elements that had the focus when the dialogs that are open, or those before them, were opened. */
const openers: Element[] = []

/** Gives the focus to the latest opener that is still there: a dialog may have taken the place of another one. */
function returnFocus(): void {
  const isLost = document.activeElement === null || document.activeElement === document.body
  const opener = openers.findLast(each => each.isConnected)
  if (isLost && opener instanceof HTMLElement) opener.focus()
  if (document.querySelector("dialog[open]") === null) openers.length = 0
}

export function Dialog({ title, onClose, children, footer, isWide = false }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null)
  const heading = useRef<HTMLHeadingElement>(null)
  const id = useId()
  // At once, before anything can be typed: the focus would take it into the first field.
  useLayoutEffect(() => {
    const { activeElement } = document
    if (activeElement !== null && activeElement !== document.body) openers.push(activeElement)
    element.current?.showModal()
    // The first field; without one the title, so that screen readers begin there.
    const first = element.current?.querySelector<HTMLElement>("input, select, textarea") ?? heading.current
    first?.focus()
    // A dialog that is taken out of the page takes the focus with it.
    return () => queueMicrotask(returnFocus)
  }, [])
  return (
    <dialog
      ref={element}
      class={isWide ? "wide" : ""}
      aria-labelledby={id}
      onClose={onClose}
      onCancel={event => {
        event.preventDefault()
        onClose()
      }}
    >
      <div class="dialog-header">
        <h2 ref={heading} id={id} tabIndex={-1}>
          {title}
        </h2>
        <IconButton label="Close" icon="close" onClick={onClose} />
      </div>
      <div class="dialog-body">{children}</div>
      {footer !== undefined && <div class="dialog-footer">{footer}</div>}
    </dialog>
  )
}

/** Asks before an action that has no plan: what it does, and a button that names it. */
export function ConfirmDialog(props: {
  readonly title: string
  readonly children: ComponentChildren
  readonly action: string
  readonly kind?: ButtonProps["kind"]
  readonly isBusy?: boolean
  readonly isDisabled?: boolean
  readonly onConfirm: () => void
  readonly onClose: () => void
}) {
  const { title, children, action, kind = "primary", isBusy = false, isDisabled = false, onConfirm, onClose } = props
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button kind={kind} isBusy={isBusy} isDisabled={isDisabled} onClick={onConfirm}>
        {action}
      </Button>
    </>
  )
  return (
    <Dialog title={title} onClose={onClose} footer={footer}>
      {children}
    </Dialog>
  )
}

/** Asks for what an action needs. It closes when the action has succeeded, and says why it has not. */
export function FormDialog(props: {
  readonly title: string
  /** The text of its button. */
  readonly action: string
  readonly children: ComponentChildren
  readonly isValid: boolean
  readonly work: () => Promise<void>
  readonly onClose: () => void
  /** The text of the button that closes it and does nothing. */
  readonly dismiss?: string
  readonly kind?: ButtonProps["kind"]
  readonly isWide?: boolean
}) {
  const {
    title,
    action,
    children,
    isValid,
    work,
    onClose,
    dismiss = "Cancel",
    kind = "primary",
    isWide = false,
  } = props
  const act = useAction(work)
  const submit = async (): Promise<void> => {
    if (isValid && (await act.run())) onClose()
  }
  return (
    <Dialog title={title} onClose={onClose} isWide={isWide}>
      <Form label={title} onSubmit={() => void submit()} problem={act.problem}>
        {children}
        <div class="form-actions">
          <Button onClick={onClose}>{dismiss}</Button>
          <Button type="submit" kind={kind} isDisabled={!isValid} isBusy={act.isBusy}>
            {action}
          </Button>
        </div>
      </Form>
    </Dialog>
  )
}
