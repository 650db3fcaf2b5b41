// A component that is drawn again only when what it is given changed: for lists, of which an event changes one row.
import { Component, type ComponentType, h, type VNode } from "preact";

function differ(one: object, other: object): boolean {
  const before = one as Record<string, unknown>;
  const after = other as Record<string, unknown>;
  const names = Object.keys(after);
  return names.length !== Object.keys(before).length || names.some((name) => before[name] !== after[name]);
}

export function memo<P extends object>(inner: ComponentType<P>): ComponentType<P> {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return differ(this.props, next);
    }
    override render(): VNode {
      return h(inner as ComponentType<object>, this.props);
    }
  };
}
