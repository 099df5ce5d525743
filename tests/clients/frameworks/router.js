/** The routers of all frameworks, as far as the README uses them. */
const go = (path) => (window.went ??= []).push(path);
export const goto = go;
export const useRouter = () => ({ push: go });
export class Router {
  navigateByUrl = go;
}
/** What makes it injectable for Angular without its compiler. */
Router.ɵprov = { token: Router, providedIn: "root", factory: () => new Router(), value: undefined };
