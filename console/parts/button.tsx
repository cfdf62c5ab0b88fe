/** Buttons. While an action runs, its button stays in place and says so. */
import type { ComponentChildren } from "preact"
import { Icon, type IconName } from "./icon.js"

export interface ButtonProps {
  readonly children: ComponentChildren
  readonly onClick?: () => void
  readonly kind?: "plain" | "primary" | "danger" | "quiet"
  readonly type?: "button" | "submit"
  readonly icon?: IconName
  readonly isBusy?: boolean
  readonly isDisabled?: boolean
  /** Says more than the text of the button, for several buttons with equal texts. */
  readonly label?: string
}

export function Button(props: ButtonProps) {
  const { children, onClick, kind = "plain", type = "button", icon, isBusy = false, isDisabled = false, label } = props
  return (
    <button
      type={type}
      class={`button ${kind}`}
      aria-busy={isBusy}
      aria-label={label}
      disabled={isDisabled || isBusy}
      onClick={onClick}
    >
      {isBusy ? <span class="spinner" aria-hidden="true" /> : icon && <Icon name={icon} />}
      <span>{children}</span>
    </button>
  )
}

/** A button that shows only an icon; `label` is read aloud, and shown when pointed at. */
export function IconButton(props: {
  readonly label: string
  readonly icon: IconName
  readonly onClick: () => void
  readonly isBusy?: boolean
}) {
  const { label, icon, onClick, isBusy = false } = props
  return (
    <button type="button" class="button icon-only quiet" aria-label={label} title={label} onClick={onClick}>
      <span class={isBusy ? "turning" : ""}>
        <Icon name={icon} />
      </span>
    </button>
  )
}
