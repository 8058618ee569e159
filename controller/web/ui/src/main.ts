import { mount } from "svelte";
import "./design/fonts.css";
import "./design/tokens.css";
import "./design/base.css";
import { language } from "./i18n";
import App from "./shell/App.svelte";
import { theme } from "./shell/theme.svelte";

theme.apply();
language.announce();
mount(App, { target: document.getElementById("app")! });
