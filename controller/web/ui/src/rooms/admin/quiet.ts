/** Quiet hours in words. */
import type { shapes } from "../../api";
import { language, times } from "../../i18n";
import { t } from "./words";

/** "Yên tĩnh từ 9 giờ 30 tối đến 4 giờ 45 sáng." */
export function quietWords(area: Pick<shapes.AreaView, "effective_quiet_hours">): string {
  const hours = area.effective_quiet_hours;
  return hours ? saidHours(hours.begin, hours.end) : t.area.quietNone;
}

export function saidHours(begin: string, end: string): string {
  const said = (clock: string) => {
    const [hour = 0, minute = 0] = clock.split(":").map(Number);
    return times.saidTime(hour, minute, language.current);
  };
  return t.area.said(said(begin), said(end));
}
