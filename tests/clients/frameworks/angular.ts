import "@angular/compiler";
import { Component, provideZonelessChangeDetection, signal } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { CallPopupComponent } from "./CallPopup";

@Component({ selector: "app-root", imports: [CallPopupComponent], template: "@if (shown()) { <app-call-popup /> }" })
class App {
  shown = signal(true);

  constructor() {
    Object.assign(window, { show: (is: boolean) => this.shown.set(is) });
  }
}

document.querySelector("#root")!.append(document.createElement("app-root"));
bootstrapApplication(App, { providers: [provideZonelessChangeDetection()] });
